"""A batch as it goes: a line a row on a terminal, else a line a change. All on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from lensa.batches.outcome import ENDED, Outcome

if TYPE_CHECKING:
    from rich.table import Table

    from lensa.batches.running import OnChange

_MOST_LINES = 30  # of a table: the others are counted


@contextmanager
def checking() -> Iterator[Callable[[int, int], None] | None]:
    """Show how many rows are checked, on a terminal; yield what is told of it, or None."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    from lensa.photos.showing.progress import untold

    with untold(), Console(stderr=True).status("checking the rows") as status:
        yield lambda done, of: status.update(f"checking the rows: {done} of {of}")


def display(outcomes: Sequence[Outcome]) -> AbstractContextManager[OnChange]:
    """Return what shows rows where we are: it yields what is told of each change."""
    return _live(outcomes) if sys.stderr.isatty() else _lines()


@contextmanager
def _lines() -> Iterator[OnChange]:
    """Print a line when a row enters another state: not at every step."""
    last: dict[str, str] = {}

    def tell(outcome: Outcome) -> None:
        # Of what is at work the numbers change all the time.
        at_work = outcome.status in {"starting", "running"}
        state = f"{outcome.status} {outcome.told.split(' ')[0] if at_work else outcome.told}"
        if last.get(outcome.subject) != state:
            last[outcome.subject] = state
            words = f"{outcome.subject}: {outcome.status}  {outcome.told}"
            print(words.rstrip(), file=sys.stderr, flush=True)

    yield tell


@contextmanager
def _live(outcomes: Sequence[Outcome]) -> Iterator[OnChange]:
    """Show a table that is drawn anew."""
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), refresh_per_second=4) as shown:
        shown.update(_table(outcomes))
        yield lambda outcome: shown.update(_table(outcomes))
        shown.update(_table(outcomes))


def _table(outcomes: Sequence[Outcome]) -> Table:
    """The rows that say most: what goes on, then what failed, then the others."""
    from rich.table import Table
    from rich.text import Text

    rank = {"running": 0, "starting": 0, "waiting": 0, "failed": 1, "done": 2, "pending": 3}
    first = sorted(outcomes, key=lambda one: rank[one.status])[:_MOST_LINES]
    ended = sum(one.status in ENDED for one in outcomes)
    sheet = Table.grid(padding=(0, 2))
    for one in sorted(first, key=lambda one: one.line):
        price = "" if one.dollars is None else f"${one.dollars:.2f}"
        sheet.add_row(one.subject, one.status, Text(one.told, overflow="ellipsis"), price)
    sheet.add_row(f"{ended} of {len(outcomes)}", "ended", "", "")
    return sheet
