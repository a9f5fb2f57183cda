"""`lensa down`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from lensa.cli.output import Json, emit, told
from lensa.cli.place import with_client
from lensa.errors import ConfigError

if TYPE_CHECKING:
    from lensa.client import Client


def register(app: typer.Typer) -> None:
    app.command()(down)


@told
@with_client
def down(
    client: Client,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME...", help="Endpoints, as lensa ps shows them."),
    ] = None,
    expired: Annotated[
        bool,
        typer.Option("--expired", help="Those whose end has come, and what they have left."),
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="All of lensa's in this region.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Take endpoints down, with everything that belongs to them.

    What lensa did not make is never touched. Images that an asynchronous one has drawn and nobody
    has fetched go only with one that is named. Training jobs are ended with lensa stop. Exit code 1
    if something could not be removed.
    """
    chosen = client.to_take_down(*(names or []), expired=expired, every=every)
    if not (names or expired or every):
        raise ConfigError("Say which: lensa down NAME..., --expired or --all; lensa ps lists them.")
    if chosen and not yes:
        _confirm(chosen)
    done = client.down(*chosen, listed=expired or every) if chosen else []
    if json:
        emit({"down": [asdict(one) for one in done]})
    else:
        for one in done:
            print(f"{one.name}: {len(one.removed)} removed")
            for what in one.removed:
                print(f"  {what}")
        if not done:
            print("there is nothing to take down.")
    failed = [(one.name, reason) for one in done for reason in one.failed]
    for name, reason in failed:
        print(f"lensa: {name}: {reason}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


def _confirm(names: list[str]) -> None:
    """Ask; ConfigError where there is nobody to ask."""
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr)):
        raise ConfigError(
            "Nothing was taken down: there is no terminal to ask on. If they may go, add --yes: "
            f"{', '.join(names)}."
        )
    if not typer.confirm(f"Take down {', '.join(names)}?", err=True):
        raise typer.Exit(1)
