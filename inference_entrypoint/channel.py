"""What the server and the process that draws tell each other, over a pair of sockets.

The server has no ML stack, and the process that draws no HTTP: if that one dies, of a driver's
fault or for want of memory, the server is there to say so and to start another.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from multiprocessing.connection import Connection


@dataclass(frozen=True)
class Ask:
    """Server: draw this."""

    number: int
    identity: str  # the request's, for the log
    request: str  # a GenerationRequest as JSON
    accept: str  # the answer's media types
    deadline: float | None  # of `time.monotonic`, which all processes of a machine share
    seconds: float | None  # which that was after its arrival
    events: bool  # tell of steps and images, too


@dataclass(frozen=True)
class Leave:
    """Server: nobody waits for this any more."""

    number: int


@dataclass(frozen=True)
class Hurry:
    """Server: whatever is being drawn, its time is up now."""


@dataclass(frozen=True)
class Ready:
    """An image can be made."""

    name: str  # the avatar's
    seconds: float  # since the start


@dataclass(frozen=True)
class Failed:
    """The model cannot be loaded."""

    kind: str
    message: str


@dataclass(frozen=True)
class Begun:
    """A request's first batch begins."""

    number: int


@dataclass(frozen=True)
class Step:
    """`done` of `of` steps, over all images of a request."""

    number: int
    done: int
    of: int


@dataclass(frozen=True)
class Drawn:
    """One image of a request, as JSON."""

    number: int
    image: str


@dataclass(frozen=True)
class Batch:
    """So many images were drawn at once."""

    images: int
    seconds: float


@dataclass(frozen=True)
class Answered:
    """The answer to a request."""

    number: int
    body: bytes
    images: int
    headers: dict[str, str] = field(default_factory=dict)  # what JSON says, of an image alone


@dataclass(frozen=True)
class Refused:
    """There is no answer, and why."""

    number: int
    status: int
    kind: str
    message: str


FromServer = Ask | Leave | Hurry
FromDrawer = Ready | Failed | Begun | Step | Drawn | Batch | Answered | Refused


def pair() -> tuple[Connection, socket.socket]:
    """Return our end, and the other one to be inherited by a child."""
    ours, theirs = socket.socketpair()
    return Connection(ours.detach()), theirs
