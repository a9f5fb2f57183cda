"""`lensa id-photo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lensa.cli.output import Json, emit, told


def register(app: typer.Typer) -> None:
    app.command("id-photo")(id_photo)


@told
def id_photo(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture of one person.")],
    country: Annotated[str, typer.Option(help="us, gb, de, fr, schengen, in, cn, jp, ca, au, br.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where it goes: .png, .jpg or .tif.")],
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a sheet to print, too.")
    ] = None,
    paper: Annotated[str, typer.Option(help="Of the sheet: 10x15 (cm), 4x6 (inches), a4.")] = (
        "10x15"
    ),
    dpi: Annotated[int, typer.Option(help="Dots per inch.")] = 300,
    json: Json = False,
) -> None:
    """Crop a picture to a country's ID photo: head size, framing, plain background.

    For drafts, badges and CVs: a generated picture is in general not accepted as the photo of an
    official document. Check the measures with the authority.
    """
    from lensa.errors import PhotosError, StorageError
    from lensa.id_photo import id_photo as make
    from lensa.id_photo.files import check_file
    from lensa.photos.formats import Unusable
    from lensa.photos.reading import read_picture

    for file in filter(None, (out, sheet)):
        check_file(file)
        if file.resolve() == image.resolve():
            raise StorageError(f"{file} is the picture itself, and is not overwritten.")
    if sheet is not None and sheet.resolve() == out.resolve():
        raise StorageError(f"{out} is asked for twice: give --sheet a file of its own.")
    if not image.is_file():
        raise PhotosError(f"There is no picture at {image}.")
    try:
        picture = read_picture(lambda: image.open("rb"), image.suffix, 64).image
    except Unusable as unusable:
        raise PhotosError(f"{image} cannot be used: {unusable}.") from None
    made = make(picture, country, dpi=dpi)
    printed = None if sheet is None else made.sheet(paper)
    made.save(out)
    if printed is not None and sheet is not None:
        printed.save(sheet)
    if json:
        emit(
            {
                "image": str(out),
                "country": made.specification.country,
                "rule": made.specification.rule,
                "size_mm": [made.specification.width, made.specification.height],
                "size": list(made.image.size),
                "dpi": dpi,
                "head_mm": round(made.head_mm, 1),
                "plain_background": made.plain,
                "sheet": None if sheet is None else str(sheet),
                "copies": None if printed is None else printed.copies,
                "notes": list(made.notes),
            }
        )
        return
    wanted = made.specification
    for note in made.notes:
        print(f"note: {note}")
    print(
        f"{out}  {wanted.label}: {wanted.width:g} x {wanted.height:g} mm at {dpi} dpi, "
        f"head about {made.head_mm:.0f} mm ({wanted.head[0]:g} to {wanted.head[1]:g})"
    )
    if printed is not None:
        print(f"{sheet}  {printed.copies} copies on {printed.paper}: print it at actual size")
    print(f"By {wanted.rule}, from memory: check it there before you rely on it.")
