"""`lensa demo`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from lensa.cli.output import Json, emit, told


def register(app: typer.Typer) -> None:
    app.command()(demo)


@told
def demo(
    out: Annotated[Path, typer.Option(help="Where the contact sheet goes.")] = Path("lensa-demo"),
    json: Json = False,
) -> None:
    """Photos in, avatars out, in a few minutes.

    On the embedded base `mini`: no AWS account, no download.
    """
    from lensa.client import Client
    from lensa.contract.events import Event
    from lensa.demo import run_demo

    def print_event(event: Event) -> None:
        print(event.line(), flush=True)

    made = run_demo(Client(), out, on_event=print_event if json else None)
    if json:
        emit(
            {
                "sheet": str(made.sheet.resolve()),
                "avatar": made.avatar.id,
                "images": len(made.gallery),
                "seconds": made.seconds,
            }
        )
        return
    print()
    for step, seconds in made.seconds.items():
        print(f"  {step:<20} {seconds:6.1f} s")
    print(f"  {'together':<20} {sum(made.seconds.values()):6.1f} s")
    lensa = "lensa" if shutil.which("lensa") else str(Path(sys.argv[0]))
    print(f"\nLook at it: {made.sheet.resolve()}\n\nThen try:")
    print(f'  {lensa} generate demo "wearing a suit" --style watercolour --count 4 --expand')
    print(f"  {lensa} deploy demo --port 8080")
    print(f"  {lensa} train YOUR_PHOTOS --subject NAME --kind person --base mini")
