"""`lensa batch`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensa.cli.output import Json, Settings, emit, fields, table, told
from lensa.cli.place import with_client
from lensa.errors import ConfigError, UserError

if TYPE_CHECKING:
    from lensa.batches.batch import Batch
    from lensa.client import Client


def register(app: typer.Typer) -> None:
    app.command()(batch)


@told
@with_client
def batch(
    client: Client,
    file: Annotated[
        Path, typer.Argument(help="A .csv or .yaml: subject, photos, kind, styles, count, ...")
    ],
    out: Annotated[Path, typer.Option(help="Gets the galleries and the report.")] = Path("batch"),
    parallel: Annotated[
        int | None, typer.Option(help="Jobs at a time; 4 on SageMaker, 1 on this machine.")
    ] = None,
    base: Annotated[str | None, typer.Option(help="Of rows that name none, as all below.")] = None,
    kind: Annotated[str | None, typer.Option(help="person, pet, object or style.")] = None,
    styles: Annotated[
        str | None, typer.Option(help="Of the gallery: all, pack:NAME, or NAME,NAME.")
    ] = None,
    count: Annotated[int | None, typer.Option(help="Images of each style.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random.")] = None,
    instance_type: Annotated[str | None, typer.Option(help="SageMaker: the machine.")] = None,
    spot: Annotated[
        bool | None, typer.Option("--spot/--no-spot", help="SageMaker: spare capacity, cheaper.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="SageMaker: dollars of each job, not of all.")
    ] = None,
    create_bucket: Annotated[
        bool | None, typer.Option("--create-bucket", help="SageMaker: make the bucket if need be.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check every row; show time and price. Start nothing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="SageMaker: upload the photos without asking.")
    ] = False,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Train an avatar for each row of a file, and draw each one's gallery.

    Every row is checked before anything starts. The same command goes on where the last one ended.
    Exit code 1 if a row failed; the report in the folder says which.
    """
    from lensa.batches.batch import make_batch

    defaults: dict[str, Any] = fields(
        settings,
        base=base,
        kind=kind,
        styles=styles,
        count=count,
        steps=steps,
        seed=seed,
        instance_type=instance_type,
        spot=spot,
        budget=budget,
        create_bucket=create_bucket,
    )
    checked = make_batch(client, file, parallel=parallel, **defaults)
    if dry_run:
        _print_plan(checked, json)
        return
    confirmed = not yes and _asked(checked)
    report = checked.run(out, confirmed=confirmed)
    if json:
        emit(report.to_json())
    else:
        print(report.summary())
    for row in report.rows:
        if row.missing and not json:
            print(f"note: {row.subject}: {row.missing}")
        if row.error:
            print(f"lensa: {row.subject} (line {row.line}): {row.error}", file=sys.stderr)
    if not report.ok:
        raise typer.Exit(1)


def _asked(checked: Batch) -> bool:
    """Say what would leave this machine, and ask: once for all. Whether there was a question."""
    lines = checked.upload_lines()
    if not lines:
        return False
    print(*lines, sep="\n", file=sys.stderr)
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr)):
        raise ConfigError(
            "Nothing was uploaded: there is no terminal to ask on. If all that may be, add --yes."
        )
    try:
        agreed = typer.confirm("Are they yours to use, and may they be uploaded?", err=True)
    except typer.Abort:  # Ctrl-C, or the end of the input
        agreed = False
    if not agreed:
        raise UserError("Nothing was uploaded, and nothing was started.")
    return True


def _print_plan(checked: Batch, json: bool) -> None:
    here = checked.client.backend.name == "local"
    plan: list[dict[str, Any]] = [
        {
            "line": row.line,
            "subject": row.subject,
            "photos": row.upload.photos,
            "base": row.config.base.name,
            "steps": row.config.steps,
            "images": row.asked.count,
        }
        for row in checked.rows
    ]
    forecasts = [] if here else checked.forecasts()
    if json:
        for one, cast in zip(plan, forecasts, strict=False):
            one |= {"seconds": round(cast.total_seconds)}
            one |= {"dollars": cast.dollars, "most_dollars": cast.most_dollars}
            one |= {"price_source": cast.source}
        emit({"rows": plan, "parallel": checked.parallel})
        return
    shown = [[str(value) for value in one.values()] for one in plan]
    for cells, cast in zip(shown, forecasts, strict=False):
        prices = [_dollars([cast.dollars]), _dollars([cast.most_dollars])]
        cells += [f"{cast.total_seconds / 60:.0f} min", *prices]
    names = [*plan[0], *([] if here else ["time", "price", "at most"])]
    table(names, shown)
    if here:
        print("Time and price are told for AWS's machines alone.")
        return
    minutes = sum(cast.total_seconds for cast in forecasts) / 60
    print(
        f"together {minutes:.0f} min, {_dollars([cast.dollars for cast in forecasts])}, at most "
        f"{_dollars([cast.most_dollars for cast in forecasts])}; with {checked.parallel} at a time "
        f"about {minutes / min(checked.parallel, len(plan)):.0f} min."
    )
    sources = dict.fromkeys(cast.source for cast in forecasts if cast.source)
    priced = f": prices {', and '.join(sources)}" if sources else ""
    print(f"An estimate by rules of thumb, on demand{priced}.")


def _dollars(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return "(unknown)" if len(known) < len(values) else f"${sum(known):.2f}"
