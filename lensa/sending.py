"""One request, sent in as many parts as it takes."""

from __future__ import annotations

import logging

from lensa.backends.base import Server
from lensa.contract.generation import GenerationRequest, GenerationResponse
from lensa.errors import EndpointError, LensaError, TooMuchError

log = logging.getLogger("lensa")

_AT_A_TIME = 4  # images
_PIXELS = 1_400_000  # at once: as PNG and base64, no pixel has more than four bytes


class Sending:
    """The parts of one request, which says all: the seed, too, is the same for every part."""

    def __init__(self, server: Server, request: GenerationRequest) -> None:
        self._server, self._request = server, request
        self._parts: list[GenerationResponse] = []
        self._answered: list[str] = []  # ids in a queue, which holds the answers until the last
        whole = server.queue is not None
        self._at_a_time = request.count if whole else _at_a_time(request)

    def run(self) -> GenerationResponse:
        """Return all images, or those that were drawn before an error, and then a warning says what
        it was and where to go on. Raises that error if there are none."""
        try:
            while self._drawn < self._request.count:
                self._next()
        except KeyboardInterrupt:
            for id in self._answered:
                log.warning(
                    "what was drawn is kept: lensa.pending(%r, %r) finds it.", self._server.name, id
                )
            raise
        except LensaError as error:
            if not self._parts:
                raise
            left = self._left_out(error)
            log.warning("%s", left)
        else:
            left = ""
        for id in self._answered:
            if self._server.queue is not None:
                self._server.queue.forget(id)
        return self._joined(left)

    @property
    def _drawn(self) -> int:
        return sum(len(part.images) for part in self._parts)

    def _next(self) -> None:
        """Ask for the next images."""
        count = min(self._at_a_time, self._request.count - self._drawn)
        index = self._request.index + self._drawn
        try:
            part = self._ask(self._request.model_copy(update={"index": index, "count": count}))
        except TooMuchError as much:
            if count == 1:
                raise
            self._at_a_time = count // 2
            log.warning("asking for %d images at a time: %s", self._at_a_time, much)
            return
        if not part.images:
            raise EndpointError("the endpoint answered without an image.")
        self._parts.append(part)

    def _ask(self, request: GenerationRequest) -> GenerationResponse:
        queue = self._server.queue
        if queue is None:
            return self._server.invoke(request)
        id = queue.put(request)
        try:
            part = queue.wait(id, keep=True)
        except KeyboardInterrupt:
            queue.forget(id)
            raise
        self._answered.append(id)
        return part

    def _left_out(self, error: LensaError) -> str:
        index, rest = self._request.index + self._drawn, self._request.count - self._drawn
        return (
            f"{self._drawn} of {self._request.count} images were drawn; ask for the rest with "
            f"index={index}, count={rest} and seed={self._request.seed}. What went wrong: {error}"
        )

    def _joined(self, warning: str) -> GenerationResponse:
        """Return the parts as one answer."""
        first, *more = self._parts
        if not more and not warning:
            return first
        said = [word for part in self._parts for word in part.warnings]
        count = {"index": self._request.index, "count": self._request.count}
        return first.model_copy(
            update={
                "request": first.request.model_copy(update=count),
                "images": tuple(image for part in self._parts for image in part.images),
                "warnings": tuple(dict.fromkeys([*said, warning] if warning else said)),
                "partial": bool(warning),
                "seconds": sum(part.seconds for part in self._parts),
            }
        )


def _at_a_time(request: GenerationRequest) -> int:
    """Return how many images to ask for at once, so that the answer is not too long."""
    pixels = (request.width or 0) * (request.height or 0)
    return max(1, min(_AT_A_TIME, _PIXELS // pixels)) if pixels else _AT_A_TIME
