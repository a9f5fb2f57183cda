"""Who hears of what a deployment does: the caller, or a line on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lensa.backends.base import Backend
from lensa.contract.events import Event, NoticeEvent, PhaseEvent, ProgressEvent

OnEvent = Callable[[Event], None]


@contextmanager
def telling(backend: Backend, on_event: OnEvent | None) -> Iterator[OnEvent | None]:
    """Yield who is told of events: `on_event`, or stderr for what takes minutes."""
    if on_event is not None or backend.name == "local":  # which is ready in seconds
        yield on_event
        return
    from rich.console import Console

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    with console.status("", spinner="line") as status:
        shown = ""

        def tell(event: Event) -> None:
            nonlocal shown
            if isinstance(event, NoticeEvent):
                console.print(event.message, markup=False)
                return
            what, line = _state(event)
            if what and what != shown and not console.is_terminal:  # no line is written over there
                console.print(line, markup=False)
            shown = what or shown
            status.update(line)

        yield tell
    sys.stderr.flush()


def _state(event: Event) -> tuple[str, str]:
    """Return what goes on, in a word that is told once, and the line that shows how far it is."""
    if isinstance(event, ProgressEvent):
        return "uploading", f"uploading {event.step / 1e6:.1f} of {event.of / 1e6:.1f} MB"
    if isinstance(event, PhaseEvent):
        minutes, seconds = divmod(round(event.seconds), 60)
        line = f"{event.phase} ({minutes}:{seconds:02d})"
        return event.phase, f"{line}: {event.message}" if event.message else line
    return "", ""
