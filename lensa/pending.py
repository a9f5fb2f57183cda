"""A gallery that is not there yet: images that an asynchronous endpoint was asked for."""

from __future__ import annotations

from lensa.backends.base import Queue
from lensa.errors import LensaError, NotFoundError
from lensa.gallery import Gallery


class PendingGallery:
    """Images that were asked for. They are drawn whether anybody waits or not.

    pending = endpoint.generate("as an astronaut", count=32, wait=False)
    ...                                               # or, from another machine:
    gallery = lensa.pending(NAME, pending.id).wait()  # once: then nothing of it is in AWS
    """

    def __init__(self, id: str, queue: Queue) -> None:
        self.id = id
        self._queue = queue
        self._gallery: Gallery | None = None

    @classmethod
    def found(cls, id: str, queue: Queue) -> PendingGallery:
        """Return one that is there; NotFoundError if it is not (any more)."""
        gallery = cls(id, queue)
        gallery.done()
        return gallery

    def done(self) -> bool:
        """Whether `wait` would return, or raise, at once.

        Raises NotFoundError if the endpoint has no such request.
        """
        if self._gallery is not None:
            return True
        try:
            return self._queue.look(self.id) is not None
        except NotFoundError:
            raise
        except LensaError:
            return True  # it has failed, and `wait` says how

    def wait(self, timeout: float | None = None) -> Gallery:
        """Return the images when they are there.

        `timeout` is in seconds, an hour if not given; the log "lensa" says what is waited for.
        Raises EndpointBusy if it is over, and then the request goes on; otherwise as
        Endpoint.generate.
        """
        if self._gallery is None:
            response = self._queue.wait(self.id, timeout)
            if response.partial:
                index = response.request.index + len(response.images)
                count = response.request.count - len(response.images)
                rest = (
                    f"the time was up after {len(response.images)} images: ask for the rest with "
                    f"index={index}, count={count} and seed={response.request.seed}."
                )
                warnings = (*response.warnings, rest)
                response = response.model_copy(update={"warnings": warnings})
            self._gallery = Gallery.of(response)
        return self._gallery

    def __repr__(self) -> str:
        state = "here" if self._gallery is not None else "asked for"
        return f"<PendingGallery {self.id}: {state}>"
