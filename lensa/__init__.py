"""lensa: personal avatars from a handful of photos.

    import lensa

    avatar = lensa.train("photos/ada", subject="ada", base="mini")
    with avatar.deploy() as endpoint:
        gallery = endpoint.generate("as an astronaut", count=8, seed=7)
    gallery.save("out/")

Names are loaded when they are first used: `import lensa` itself costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from lensa.avatar import Avatar as Avatar
    from lensa.backends.base import JobInfo
    from lensa.client import Client as Client
    from lensa.contract import AvatarManifest as AvatarManifest
    from lensa.contract import GenerationRequest as GenerationRequest
    from lensa.contract import TrainingConfig as TrainingConfig
    from lensa.endpoint import Endpoint as Endpoint
    from lensa.errors import LensaError as LensaError
    from lensa.errors import TrainingError as TrainingError
    from lensa.errors import UserError as UserError
    from lensa.gallery import Gallery as Gallery
    from lensa.job import TrainingJob as TrainingJob

__version__ = "0.1.0"

_HOMES = {
    "Avatar": "lensa.avatar",
    "AvatarManifest": "lensa.contract",
    "Client": "lensa.client",
    "Endpoint": "lensa.endpoint",
    "Gallery": "lensa.gallery",
    "GenerationRequest": "lensa.contract",
    "LensaError": "lensa.errors",
    "TrainingConfig": "lensa.contract",
    "TrainingError": "lensa.errors",
    "TrainingJob": "lensa.job",
    "UserError": "lensa.errors",
}

__all__ = [
    "Avatar",
    "AvatarManifest",
    "Client",
    "Endpoint",
    "Gallery",
    "GenerationRequest",
    "LensaError",
    "TrainingConfig",
    "TrainingError",
    "TrainingJob",
    "UserError",
    "attach",
    "avatar",
    "avatars",
    "jobs",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lensa' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


if TYPE_CHECKING:
    train = Client().train  # with its overloads
else:

    def train(
        photos: str | Path, *, backend: str | None = None, **options: Any
    ) -> Avatar | TrainingJob:
        """Train an avatar on a folder of photos: see Client.train."""
        return _client(backend).train(photos, **options)


def attach(name: str, *, backend: str | None = None) -> TrainingJob:
    """Return the handle of a training job by its name: see Client.attach."""
    return _client(backend).attach(name)


def jobs(*, backend: str | None = None) -> list[JobInfo]:
    """Return every training job, the newest first."""
    return _client(backend).jobs()


def avatars(*, backend: str | None = None) -> list[Avatar]:
    """Return every finished avatar, the newest first."""
    return _client(backend).avatars()


def avatar(name: str, *, backend: str | None = None) -> Avatar:
    """Return an avatar by its id or its subject's name: see Client.avatar."""
    return _client(backend).avatar(name)


def _client(backend: str | None) -> Client:
    # Not kept: settings may change between two cells of a notebook, and a client costs nothing.
    from lensa.client import Client

    return Client(backend=backend)
