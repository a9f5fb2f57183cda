"""Who hears of what a deployment does: the caller, or stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lensa.backends.base import Backend
from lensa.contract.events import Event

OnEvent = Callable[[Event], None]


@contextmanager
def telling(backend: Backend, on_event: OnEvent | None) -> Iterator[OnEvent | None]:
    """Yield who is told of events: `on_event`, or a display on stderr for what takes minutes."""
    if on_event is not None or backend.name == "local":  # which is ready in seconds
        yield on_event
        return
    from lensa.display import training_display

    with training_display([]) as display:
        yield display
