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
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lensa.avatar import Avatar as Avatar
    from lensa.backends.base import JobInfo, Running, TakenDown
    from lensa.batches.report import BatchReport
    from lensa.client import Client as Client
    from lensa.contract import AvatarManifest as AvatarManifest
    from lensa.contract import GenerationRequest as GenerationRequest
    from lensa.contract import TrainingConfig as TrainingConfig
    from lensa.diagnosis import Diagnosis
    from lensa.endpoint import Endpoint as Endpoint
    from lensa.errors import LensaError as LensaError
    from lensa.errors import TrainingError as TrainingError
    from lensa.errors import UserError as UserError
    from lensa.gallery import Gallery as Gallery
    from lensa.job import TrainingJob as TrainingJob
    from lensa.pending import PendingGallery as PendingGallery
    from lensa.photos.examine import Examined
    from lensa.photos.sources import PhotoInput
    from lensa.prompts.styles import styles as styles

__version__ = "0.1.0"

_HOMES = {
    "Avatar": "lensa.avatar",
    "AvatarManifest": "lensa.contract",
    "Client": "lensa.client",
    "Endpoint": "lensa.endpoint",
    "Gallery": "lensa.gallery",
    "GenerationRequest": "lensa.contract",
    "LensaError": "lensa.errors",
    "PendingGallery": "lensa.pending",
    "TrainingConfig": "lensa.contract",
    "TrainingError": "lensa.errors",
    "TrainingJob": "lensa.job",
    "UserError": "lensa.errors",
    "styles": "lensa.prompts.styles",
}

__all__ = [
    "Avatar",
    "AvatarManifest",
    "Client",
    "Endpoint",
    "Gallery",
    "GenerationRequest",
    "LensaError",
    "PendingGallery",
    "TrainingConfig",
    "TrainingError",
    "TrainingJob",
    "UserError",
    "attach",
    "avatar",
    "avatars",
    "batch",
    "check",
    "deploy",
    "doctor",
    "down",
    "endpoint",
    "endpoints",
    "jobs",
    "pending",
    "running",
    "styles",
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


# Settings that say where: `train` takes them beside the recipe.
_PLACE = (
    *("backend", "home", "region", "profile", "role", "scheduler_role"),
    *("bucket", "prefix", "kms_key"),
)

if TYPE_CHECKING:
    train = Client().train  # with its overloads
else:

    def train(photos: PhotoInput | None = None, **options: Any) -> Avatar | TrainingJob:
        """Train an avatar on a folder of photos: see Client.train.

        Settings (backend, region, role, bucket, ...) may be given beside its own arguments.
        """
        place = {name: options.pop(name) for name in _PLACE if name in options}
        return _client(place).train(photos, **options)


def check(photos: PhotoInput, **options: Any) -> Examined:
    """Look at photos as `train` would: see Client.check."""
    place = {name: options.pop(name) for name in _PLACE if name in options}
    return _client(place).check(photos, **options)


def doctor(photos: PhotoInput | None = None, **options: Any) -> Diagnosis:
    """Look for whatever would stand in the way of a training or an endpoint: see Client.doctor."""
    place = {name: options.pop(name) for name in _PLACE if name in options}
    return _client(place).doctor(photos, **options)


def batch(
    file: str | Path, out: str | Path = "batch", *, parallel: int | None = None, **options: Any
) -> BatchReport:
    """Train an avatar for each row of a CSV or YAML file, and bring their galleries to `out`.

    `options` are settings (backend, region, ...) and any column for the rows that say nothing of
    it. The same call goes on where the last one ended: see lensa.batches.batch.run_batch.
    """
    from lensa.batches.batch import run_batch

    place = {name: options.pop(name) for name in _PLACE if name in options}
    return run_batch(_client(place), file, out, parallel=parallel, **options)


def attach(name: str, **settings: Any) -> TrainingJob:
    """Return the handle of a training job by its name: see Client.attach."""
    return _client(settings).attach(name)


def jobs(**settings: Any) -> list[JobInfo]:
    """Return every training job, the newest first."""
    return _client(settings).jobs()


def avatars(**settings: Any) -> list[Avatar]:
    """Return every finished avatar, the newest first."""
    return _client(settings).avatars()


def avatar(name: str, **settings: Any) -> Avatar:
    """Return an avatar by its id or its subject's name: see Client.avatar."""
    return _client(settings).avatar(name)


def deploy(*avatars: str, **options: Any) -> Endpoint:
    """Deploy avatars by their ids or their subjects' names: see Client.deploy."""
    place = {name: options.pop(name) for name in _PLACE if name in options}
    return _client(place).deploy(*avatars, **options)


def endpoint(name: str, **settings: Any) -> Endpoint:
    """Return an endpoint on SageMaker by its name: see Client.endpoint."""
    return _client(settings).endpoint(name)


def endpoints(**settings: Any) -> list[Running]:
    """Return the endpoints on SageMaker: see Client.endpoints."""
    return _client(settings).endpoints()


def pending(endpoint: str, id: str, **settings: Any) -> PendingGallery:
    """Return images that an asynchronous endpoint was asked for, by its name: see Client.pending.

    Also when it has ended since.
    """
    return _client(settings).pending(endpoint, id)


def running(**settings: Any) -> list[Running]:
    """Return everything that runs on SageMaker, and what it costs: see Client.running."""
    return _client(settings).running()


def down(*names: str, **options: Any) -> list[TakenDown]:
    """Take endpoints down: see Client.down."""
    place = {name: options.pop(name) for name in _PLACE if name in options}
    return _client(place).down(*names, **options)


def _client(settings: dict[str, Any]) -> Client:
    # Not kept: settings may change between two cells of a notebook, and a client costs nothing.
    from lensa.client import Client

    return Client(**settings)


class _Face(ModuleType):
    """This module, in which `avatar`, `endpoint` and `pending` stay functions: Python would put the
    modules of these names in their places as soon as one of them is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in __all__ or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face
