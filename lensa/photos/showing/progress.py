"""A bar while the photos are looked at."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from lensa.photos.prepare import Progress as OnProgress

_told: ContextVar[bool] = ContextVar("told", default=True)


@contextmanager
def untold() -> Iterator[None]:
    """Show no bar within, in this thread: what several do at once has a display of its own."""
    before = _told.set(False)
    try:
        yield
    finally:
        _told.reset(before)


@contextmanager
def looking() -> Iterator[OnProgress | None]:
    """Show a bar on stderr if that is a terminal; yield what moves it on, or None."""
    if not _told.get() or not sys.stderr.isatty():
        yield None
        return
    bar = Progress(
        TextColumn("looking at the photos "),
        BarColumn(bar_width=30),
        TextColumn("{task.completed:>4.0f}/{task.total:.0f}"),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=1)

        def move_on(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield move_on
