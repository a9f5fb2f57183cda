"""`lensa check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from lensa.cli.output import Json, emit, told

STOPPED = 2  # something has to change before a training


def register(app: typer.Typer) -> None:
    app.command()(check)


@told
def check(
    photos: Annotated[
        str, typer.Argument(help="A folder, a zip, one photo, or s3://BUCKET/FOLDER.")
    ],
    kind: Annotated[
        str, typer.Option(help="person, pet, object or style: what is looked for.")
    ] = "person",
    base: Annotated[
        str | None, typer.Option(help="The base model, which decides on the size; see lensa train.")
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Enter folders inside the folder.")
    ] = False,
    masks: Annotated[
        bool, typer.Option("--masks", help="Show what lensa train --masked-loss would mask.")
    ] = False,
    preview: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write what the model will see.")
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a contact sheet (PNG).")
    ] = None,
    json: Json = False,
) -> None:
    """Tell whether photos will do before it costs anything, and what would make them better.

    Nothing is uploaded, and the photos stay as they are. Exit code 0: they are ready or will
    work; 2: something stands in the way.
    """
    from lensa.client import Client
    from lensa.contract import Kind
    from lensa.photos.showing.preview import write_preview, write_sheet

    # `Client.check` refuses any other word.
    examined = Client().check(
        photos, kind=cast(Kind, kind), base=base, recursive=recursive, masks=masks
    )
    written: dict[str, Any] = {}
    if preview is not None:
        paths = write_preview(examined.photo_set, preview, examined.sources)
        written["preview"] = [str(path) for path in paths]
    if sheet is not None:
        written["sheet"] = str(write_sheet(examined.sheet(), sheet, examined.sources))
    if json:
        emit({**examined.to_json(), **written})
    else:
        from rich.console import Console

        from lensa.photos.showing.table import print_report

        print_report(Console(soft_wrap=True), examined.photo_set, examined.report)
        if preview is not None:
            print(f"What the model will see: {preview}")
        if sheet is not None:
            print(f"Contact sheet: {sheet}")
    if examined.stopped:
        raise typer.Exit(STOPPED)
