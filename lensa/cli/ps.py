"""`lensa ps`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from lensa.cli.output import Json, emit, told
from lensa.cli.place import with_client
from lensa.cli.times import end_words, span

if TYPE_CHECKING:
    from lensa.backends.base import Running
    from lensa.client import Client


def register(app: typer.Typer) -> None:
    app.command()(ps)


@told
@with_client
def ps(client: Client, json: Json = False) -> None:
    """List everything of ours that runs on AWS: its age, its end, and what it has cost."""
    found = client.running()
    if json:
        emit({"running": [asdict(one) for one in found]})
        return
    if not found:
        print("nothing of lensa's runs here.")
        return
    for one in found:
        print("\n".join(_lines(one)))
    if any(one.is_endpoint and one.end is None and not one.forever for one in found):
        print("NO END: what was to delete it is gone. Deploy it once more, or lensa down NAME.")


def _lines(one: Running) -> list[str]:
    """Two lines: a name has to be copied whole, and no table of all this fits a terminal."""
    now = datetime.now(UTC)
    machine = one.instance_type if one.instances == 1 else f"{one.instances} x {one.instance_type}"
    an_hour = None if one.hourly is None else one.hourly * one.instances
    end = end_words(one.end, forever=one.forever, now=now)
    return [
        f"{one.name}  {one.kind}, {one.status}, {machine}",
        f"    {span((now - one.created).total_seconds())} old; end: {end}; "
        f"{_dollars(an_hour)} an hour, {'at most ' * one.at_most}{_dollars(one.dollars)} so far",
    ]


def _dollars(amount: float | None) -> str:
    return "$?" if amount is None else f"${amount:.2f}"
