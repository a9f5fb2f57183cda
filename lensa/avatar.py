"""An avatar: a trained model of one subject."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensa.backends.base import Backend
from lensa.contract import AvatarManifest
from lensa.endpoint import Endpoint
from lensa.errors import NotFoundError
from lensa.gallery import Gallery

if TYPE_CHECKING:
    from lensa.like import Source


class Avatar:
    """A trained avatar. `id` is the name of the job that made it."""

    def __init__(self, id: str, backend: Backend) -> None:
        self.id = id
        self._backend = backend

    @cached_property
    def manifest(self) -> AvatarManifest:
        """What the avatar is made of: `avatar.json`."""
        return self._backend.manifest(self.id)

    @property
    def path(self) -> Path:
        """A local folder with the avatar's files."""
        return self._backend.folder(self.id)

    @property
    def samples(self) -> list[Path]:
        """The images that the training job drew with the finished avatar."""
        return [
            self.path / record.path
            for record in self.manifest.files
            if record.path.startswith("samples/")
        ]

    @cached_property
    def subject(self) -> str | None:
        """The name that you gave the subject; None if it is not known here."""
        try:
            return self._backend.job(self.id).subject.name
        except NotFoundError:
            return None

    def deploy(self, *, port: int | None = None) -> Endpoint:
        """Start an endpoint and return when it is healthy. Use it in a `with` block, or close it.

        Raises BusyError if the port is taken, ArtifactError or EndpointError if it cannot start.
        """
        return Endpoint(self.id, self._backend.serve([self.id], port=port), name=self.subject)

    def generate(self, prompt: str = "", *, style: str | None = None, **fields: Any) -> Gallery:
        """Make images with an endpoint that lives for this call alone: see Endpoint.generate."""
        from lensa.endpoint import make_request

        # Refused before anything starts.
        request = make_request(prompt, style=style, name=self.subject, **fields)
        with self.deploy() as endpoint:
            response = endpoint.send(request)
        return Gallery(response.images, warnings=response.warnings, seconds=response.seconds)

    def generate_like(self, source: Source, *, image: Any = None, **changes: Any) -> Gallery:
        """Make an image again, with an endpoint for this call alone: see Endpoint.generate_like."""
        from lensa.endpoint import request_again

        # Refused before anything starts. Whoever the file names: this avatar draws.
        changes = {"avatar": None, **changes}
        request = request_again(source, image=image, name=self.subject, **changes)
        with self.deploy() as endpoint:
            response = endpoint.send(request)
        return Gallery(response.images, warnings=response.warnings, seconds=response.seconds)

    def __repr__(self) -> str:
        return f"<Avatar {self.id}>"
