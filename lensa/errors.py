"""Every error that lensa raises on purpose.

LensaError
├── UserError                 something to change in what was asked; nothing was started (exit 2)
│   ├── ConfigError           a field that is unknown, out of range or contradicts another
│   ├── TooMuchError          images that one answer cannot hold, in bytes or in seconds
│   ├── PhotosError           the photos cannot be used, each with its reason
│   ├── BaseModelError        a base model that is unknown, missing or of another architecture
│   ├── NotFoundError         no such avatar, job or style
│   ├── BusyError             another training or server holds what this one needs
│   ├── StorageError          the disk is full, or a folder cannot be written
│   └── AccountError          AWS or a model hub refuses: credentials, permissions, a quota, ...
├── TrainingError             the training job ended without an avatar
│   └── TrainingStopped       it was stopped on purpose; the same call resumes it
├── ArtifactError             an avatar's files are incomplete, altered or do not fit the base
├── EndpointError             the endpoint did not start, or answered with an error
│   └── EndpointBusy          it answered 503; `retry_after` says when to come back
└── ServiceError              AWS or a model hub did not answer; try again later
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "AccountError",
    "ArtifactError",
    "BaseModelError",
    "BusyError",
    "ConfigError",
    "EndpointBusy",
    "EndpointError",
    "LensaError",
    "NotFoundError",
    "PhotosError",
    "ServiceError",
    "StorageError",
    "TooMuchError",
    "TrainingError",
    "TrainingStopped",
    "UserError",
    "suggest",
]


class LensaError(Exception):
    """Base of every error that lensa raises on purpose. Its text says what to do next."""

    exit_code = 1


class UserError(LensaError):
    """Something in the request has to change. Nothing was started."""

    exit_code = 2


class ConfigError(UserError):
    """A field is unknown, out of range, or contradicts another one."""


class TooMuchError(UserError):
    """More was asked for than one answer can hold: in bytes, or in the seconds it may take."""


class PhotosError(UserError):
    """The photos cannot be used. `rejected` maps a file to the reason it was left out."""

    def __init__(self, message: str, rejected: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.rejected = rejected or {}


class BaseModelError(UserError):
    """The base model is unknown, missing, or of an architecture that is not supported."""


class NotFoundError(UserError):
    """No avatar, job or style goes by that name."""


class BusyError(UserError):
    """Another training or server holds what this one needs."""


class StorageError(UserError):
    """The disk is full, or a folder cannot be written."""


class AccountError(UserError):
    """AWS or a model hub refuses: credentials, permissions, a quota, a bucket, a key.

    Something about the account, or about what was asked of it, has to change.
    """


class TrainingError(LensaError):
    """The training job ended without an avatar."""


class TrainingStopped(TrainingError):
    """The training job was stopped on purpose. The same call resumes it."""

    exit_code = 130


class ArtifactError(LensaError):
    """An avatar's files are incomplete, altered, or do not fit the base model."""


class EndpointError(LensaError):
    """The endpoint did not start, or answered with an error (`status`: the HTTP status, if any)."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class EndpointBusy(EndpointError):
    """The endpoint answered 503. `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message, status=503)
        self.retry_after = retry_after


class ServiceError(LensaError):
    """AWS, or a model hub, did not answer, or throttled past all patience.

    Nothing has to change but the time.
    """


def suggest(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest known word, else the list of them."""
    choices = sorted(known)
    near = get_close_matches(word.lower(), [choice.lower() for choice in choices], n=1, cutoff=0.5)
    if near:
        match = next(choice for choice in choices if choice.lower() == near[0])
        return f" Did you mean {match!r}?"
    return f" Known: {', '.join(choices)}." if choices else ""
