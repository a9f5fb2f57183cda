"""An endpoint: a running avatar that answers over HTTP."""

from __future__ import annotations

import logging
import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

from lensa.backends.base import Queue, Server, Shelf
from lensa.contract.generation import GenerationRequest, GenerationResponse
from lensa.contract.names import JOB
from lensa.errors import ConfigError
from lensa.gallery import Gallery
from lensa.pending import PendingGallery
from lensa.requests import make_request, request_again
from lensa.sending import Sending

if TYPE_CHECKING:
    from lensa.like import Source

log = logging.getLogger("lensa")


class Drawn(Protocol):
    """An avatar, as far as an endpoint has to know it."""

    id: str

    @property
    def subject(self) -> str | None: ...


class Endpoint:
    """A deployed avatar. As a context manager it is taken down on exit, whatever happens, if
    this call of `deploy` made it; one that ran before runs on, and `close` takes it down.

    with avatar.deploy() as endpoint:
        endpoint.generate("as an astronaut", count=8, seed=7).save("out/")
    """

    def __init__(
        self, avatar: str, server: Server, *, name: str | None = None, explicit: bool = False
    ) -> None:
        """`name` is the subject's own: in a prompt it stands for the subject. `explicit`: each
        request has to say which avatar is meant, for there may be others."""
        self.avatar = avatar
        self._server = server
        self._subject, self._explicit = name, explicit

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def name(self) -> str | None:
        """By which Client.endpoint finds it from any machine; None of a local one."""
        return self._server.name

    @property
    def end(self) -> datetime | None:
        """When it is deleted by itself, whoever is there; None: nothing is set to do that."""
        return self._server.end()

    @property
    def avatars(self) -> list[str]:
        """The ids of the avatars that it draws with."""
        shelf = self._server.shelf
        return [self.avatar] if shelf is None else shelf.names()

    def add(self, avatar: Drawn | str) -> str:
        """Let it draw with another avatar on the same base, from now on, and return its id.

        `avatar` is one, or its id or its subject's name. Nothing is deployed anew. Raises
        ConfigError if the endpoint cannot hold it, NotFoundError if there is no such avatar.
        """
        shelf = self._shelf("add")
        id = _id_of(avatar, shelf)
        shelf.add(id)
        return id

    def remove(self, avatar: Drawn | str) -> None:
        """Take an avatar away that was added. Half a minute later the container draws it no more;
        when its copy of it goes, docs/serving.md says."""
        shelf = self._shelf("remove")
        shelf.remove(_id_of(avatar, shelf))

    def _shelf(self, wanted: str) -> Shelf:
        shelf = self._server.shelf
        if shelf is None:
            raise ConfigError(
                f"{wanted}: this endpoint has the avatars that it began with. On this machine, "
                "serve them together: lensa serve AVATAR AVATAR."
            )
        return shelf

    @overload
    def generate(
        self,
        prompt: str = "",
        *,
        style: str | None = None,
        wait: Literal[True] = True,
        **fields: Any,
    ) -> Gallery: ...
    @overload
    def generate(
        self, prompt: str = "", *, style: str | None = None, wait: Literal[False], **fields: Any
    ) -> PendingGallery: ...
    def generate(
        self, prompt: str = "", *, style: str | None = None, wait: bool = True, **fields: Any
    ) -> Gallery | PendingGallery:
        """Make images. `fields` are those of GenerationRequest: count, seed, steps, expand, ...

        `style` names a style pack. `avatar` is another than its own: one, its id or its subject's
        name. `wait=False` leaves the request with an asynchronous endpoint,
        and returns at once. If the endpoint fails when some images are drawn, those are the gallery
        (`partial`), and a warning says where to go on. Raises ConfigError for what has to be
        changed in the request, NotFoundError for an unknown style, EndpointError if the endpoint
        fails.
        """
        name, fields = self._meant(fields)
        request = make_request(prompt, style=style, name=name, **fields)
        if wait:
            return Gallery.of(self.send(request))
        queue = self._queue("wait=False")
        return PendingGallery(queue.put(self._ready(request)), queue)

    def pending(self, id: str) -> PendingGallery:
        """Return the images that `generate(wait=False)` has asked for, here or on another machine.

        Raises NotFoundError if the endpoint has no such request, or its answer was fetched before.
        """
        return PendingGallery.found(id, self._queue("pending"))

    def _meant(self, fields: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Return the subject's name of the avatar that draws, and the fields with its id."""
        given = fields.get("avatar")
        if given is None:
            return self._subject, fields
        if not isinstance(given, str):
            return given.subject, {**fields, "avatar": given.id}
        shelf = self._server.shelf
        if shelf is None or JOB.fullmatch(given):
            return self._subject if given == self.avatar else None, fields
        return given, {**fields, "avatar": shelf.find(given)}

    def _ready(self, request: GenerationRequest) -> GenerationRequest:
        """Return a request that says all: which avatar, and the seed, the same one for all of its
        parts, however often asked."""
        update: dict[str, Any] = {}
        if request.seed is None:
            update["seed"] = secrets.randbelow(2**32)
        if request.avatar is None and self._explicit:
            update["avatar"] = self.avatar
        return request.model_copy(update=update) if update else request

    def _queue(self, wanted: str) -> Queue:
        queue = self._server.queue
        if queue is None:
            raise ConfigError(
                f"{wanted}: this endpoint answers while you wait, and keeps no requests. One that "
                "does is deployed with asynchronous=True (backend='sagemaker')."
            )
        return queue

    def generate_like(self, source: Source, *, image: Any = None, **changes: Any) -> Gallery:
        """Make an image again: `source` is a file that lensa wrote, or one opened.

        `image` is the picture that it was begun with, if it was. `changes` are fields of
        GenerationRequest that are to differ. Raises ConfigError if the file holds no parameters.
        """
        name, changes = self._meant(changes)
        return Gallery.of(self.send(request_again(source, image=image, name=name, **changes)))

    def send(self, request: GenerationRequest) -> GenerationResponse:
        """Send a request and return the answer; a busy endpoint is waited for, and the log "lensa"
        tells of it.

        Many images are asked for a few at a time, so that no answer is too long, nor too long in
        coming: they are the same images. What an endpoint has no time for in one answer is asked
        for in the next. An asynchronous one is asked for all at once. If some are drawn when it
        fails, the answer is `partial`, and a warning says why and where to go on.
        """
        return Sending(self._server, self._ready(request)).run()

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._server.alive()

    def sdk(self) -> Any:
        """Return the endpoint as AWS's SDK has it; ConfigError without it, or for a local one."""
        return self._server.sdk()

    def close(self) -> None:
        """Take the endpoint down. Calling it again does nothing."""
        self._server.close()

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *exc: object) -> None:
        if not self._server.found:
            self.close()
            return
        log.warning(
            "%s ran before this `with` block, and runs on: close() or lensa down takes it down.",
            self.name,
        )

    def __repr__(self) -> str:
        if self.name is not None:
            return f"<Endpoint {self.name} of {self.avatar}>"
        return f"<Endpoint of {self.avatar} at {self.url}>"


def _id_of(avatar: Drawn | str, shelf: Shelf) -> str:
    if not isinstance(avatar, str):
        return avatar.id
    return avatar if JOB.fullmatch(avatar) else shelf.find(avatar)
