"""An avatar: a trained model of one subject."""

from __future__ import annotations

import hashlib
import html
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensa.backends.base import Backend
from lensa.contract import AvatarManifest
from lensa.contract.events import Event
from lensa.contract.measures import CHART_FILE, REPORT_FILE
from lensa.endpoint import Endpoint
from lensa.errors import ArtifactError, LensaError, NotFoundError
from lensa.gallery import Gallery
from lensa.telling import telling

if TYPE_CHECKING:
    from lensa.exporting import Export
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

    @property
    def report(self) -> Path | None:
        """How it was trained, as one HTML page: curves, images by step, settings, cost. None if the
        job wrote none."""
        return self._own(REPORT_FILE)

    @property
    def chart(self) -> Path | None:
        """The curves of the training as a PNG, with the exported step marked; None if there is
        none."""
        return self._own(CHART_FILE)

    def _own(self, path: str) -> Path | None:
        listed = any(record.path == path for record in self.manifest.files)
        return self.path / path if listed else None

    def read(self, path: str) -> bytes:
        """Return one of the avatar's files, without bringing the others to this machine.

        Raises ArtifactError if it is none of them, or not the one that the job wrote.
        """
        digests = {record.path: record.sha256 for record in self.manifest.files}
        if path not in digests:
            raise ArtifactError(f"{self.id} has no {path} in its manifest.")
        content = self._backend.file(self.id, path)
        if hashlib.sha256(content).hexdigest() != digests[path]:
            raise ArtifactError(f"{self.id}: {path} is not the file that the job wrote.")
        return content

    @cached_property
    def subject(self) -> str | None:
        """The name that you gave the subject; None if it is not known here."""
        try:
            return self._backend.job(self.id).subject.name
        except NotFoundError:
            return None

    def deploy(
        self,
        *,
        wait: bool = True,
        on_event: Callable[[Event], None] | None = None,
        **options: Any,
    ) -> Endpoint:
        """Start an endpoint and return when it is healthy. Use it in a `with` block, or close it.

        On this machine `options` are `port` alone; on SageMaker those of DeployOptions (keep,
        instance_type, asynchronous, ...), and there it ends by itself after `keep`. `wait=False`
        returns when it is on its way. `on_event` hears of what is done; without it, stderr does.

        Raises BusyError if the port is taken, ArtifactError or EndpointError if it cannot start:
        nothing is left then.
        """
        with telling(self._backend, on_event) as tell:
            server = self._backend.deploy([self.id], on_event=tell, wait=wait, **options)
        return Endpoint(self.id, server, name=self.subject, explicit=server.shelf is not None)

    @contextmanager
    def at_hand(self) -> Iterator[Endpoint]:
        """An endpoint for one call: on this machine one that lives as long as the `with` block; on
        SageMaker one that runs and has the avatar, which runs on.

        Raises NotFoundError if none does: nothing is started that costs.
        """
        with self._backend.at_hand(self.id) as server:
            yield Endpoint(self.id, server, name=self.subject, explicit=server.shelf is not None)

    def generate(self, prompt: str = "", *, style: str | None = None, **fields: Any) -> Gallery:
        """Make images with an endpoint that is at hand (see `at_hand`): see Endpoint.generate."""
        from lensa.requests import make_request

        # Refused before anything starts.
        request = make_request(prompt, style=style, name=self.subject, **fields)
        with self.at_hand() as endpoint:
            return Gallery.of(endpoint.send(request))

    def generate_like(self, source: Source, *, image: Any = None, **changes: Any) -> Gallery:
        """Make an image again, with an endpoint that is at hand: see Endpoint.generate_like."""
        from lensa.requests import request_again

        # Refused before anything starts. Whoever the file names: this avatar draws.
        changes = {"avatar": None, **changes}
        request = request_again(source, image=image, name=self.subject, **changes)
        with self.at_hand() as endpoint:
            return Gallery.of(endpoint.send(request))

    def export(
        self,
        format: str | None = None,
        out: str | os.PathLike[str] | None = None,
        *,
        precision: str | None = None,
        ckpt: bool = False,
        force: bool = False,
    ) -> Export:
        """Write the avatar as a file that other programs open, whole or not at all.

        Args:
            format: `kohya` (a LoRA for AUTOMATIC1111 and ComfyUI), `checkpoint` (the whole model in
                one file), `diffusers` (a folder) or `lora` (as it was trained). If not given,
                kohya, or checkpoint of full weights.
            out: the file, or a folder to put it into; the working directory if not given.
            precision: `fp16` (if not given) or `fp32`; a LoRA `as it was trained` has its own.
            ckpt: write the checkpoint as a .ckpt, for programs that read no safetensors.
            force: replace what is there.

        Raises UserError for what has to change, ArtifactError if the avatar is not whole.
        """
        from lensa.exporting import default_format, export

        form = format or default_format(self.manifest)
        return export(
            self.manifest, self.path, form, out, precision=precision, ckpt=ckpt, force=force
        )

    def push(
        self,
        repo: str,
        format: str | None = None,
        *,
        out: str | os.PathLike[str] | None = None,
        public: bool = False,
        consent: bool = False,
        precision: str | None = None,
        force: bool = False,
    ) -> Export:
        """Upload the avatar to a repository of the Hugging Face Hub, with a model card.

        `repo` is `owner/name`; it is made private unless `public`. `format` is one of `export`'s:
        if not given, lora, or diffusers of full weights. `out` keeps the files here, too.
        Of a person `consent=True` says that they agree. No photo and no name goes along.

        Raises as `export`, AccountError if the hub refuses, ServiceError if it does not answer.
        """
        from lensa.exporting import default_format, export

        form = format or default_format(self.manifest, push=True)
        return export(
            self.manifest,
            self.path,
            form,
            out,
            precision=precision,
            force=force,
            push=repo,
            public=public,
            consent=consent,
        )

    def __repr__(self) -> str:
        return f"<Avatar {self.id}>"

    def _repr_html_(self) -> str:
        """Its report, in a frame that runs nothing. Of an avatar that is not at hand, the report
        alone is fetched."""
        line = self.id
        try:
            choice = self.manifest.choice
            line += f": {choice.reason}" if choice is not None else ""
            page = self.read(REPORT_FILE).decode()
        except LensaError:  # there is none, or it cannot be had now: to be shown is no errand
            return f"<div>{html.escape(line)}</div>"
        return (
            f"<div>{html.escape(line)}</div>"
            f'<iframe sandbox="" title="{html.escape(self.id)}: the report" '
            'style="width:100%;height:600px;border:1px solid #8888" '
            f'srcdoc="{html.escape(page)}"></iframe>'
        )
