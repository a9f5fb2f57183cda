"""What an error is to a client: a status, a type and words, the same from every server of ours.

    400  a field to change: any UserError, under its own name
    413  TooMuchError: more than one answer can hold, in bytes or in the seconds that it may take
    415  UnsupportedMediaType: not JSON, or compressed
    500  ours: a damaged avatar, a GPU too small, and whatever nobody thought of
    503  Busy, and never the name of what keeps it so: the queue is full, the model still loads, the
         server is going, S3 does not answer

The body is always {"error": {"type": ..., "message": ...}}.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from lensa.errors import LensaError, TooMuchError, UserError


class UnsupportedMediaType(UserError):
    """The body is not JSON, or it is compressed."""


GOING = "the server is shutting down."


class Busy(LensaError):
    """Not now. `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


# The first row that fits counts.
_STATUSES: tuple[tuple[type[BaseException], int], ...] = (
    (TooMuchError, 413),
    (UnsupportedMediaType, 415),
    (Busy, 503),
    (UserError, 400),
    (BaseException, 500),
)


@dataclass(frozen=True)
class Refusal:
    """An answer that is no image. `retry_after` is in seconds."""

    status: int
    type: str
    message: str
    retry_after: int | None = None

    @property
    def body(self) -> str:
        return json.dumps({"error": {"type": self.type, "message": self.message}})


def refusal(error: BaseException, identity: str | None = None) -> Refusal:
    """Return what a client is told of an error.

    `identity`: the request's; of what should not have happened the client is told that alone.
    """
    message = words(error)
    if identity is not None and not isinstance(error, LensaError):
        message = "something went wrong that should not; the server's log has it as "
        message += f"{identity}."
    retry_after = error.retry_after if isinstance(error, Busy) else None
    # Whatever it is that keeps it busy: who asks has to know one name, even without the status.
    kind = "Busy" if isinstance(error, Busy) else type(error).__name__
    return Refusal(status_of(error), kind, message, retry_after)


def status_of(error: BaseException) -> int:
    """Return the HTTP status of an error."""
    return next(status for kind, status in _STATUSES if isinstance(error, kind))


def words(error: BaseException) -> str:
    """What a user may read: our own errors as they are, any other by its first line."""
    text = str(error).strip()
    if isinstance(error, LensaError):
        return text
    return f"{type(error).__name__}: {text.splitlines()[0][:300] if text else 'no message'}"
