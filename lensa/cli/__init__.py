"""The command line. One small file a command group; what they need is imported when they run."""

from __future__ import annotations

from typing import Annotated

import typer

from lensa import __version__
from lensa.cli import (
    avatars,
    batch,
    check,
    demo,
    deploy,
    doctor,
    down,
    export,
    generate,
    id_photo,
    jobs,
    mirror,
    ps,
    serve,
    setup,
    train,
)

app = typer.Typer(
    name="lensa",
    help="Personal avatars from a handful of photos.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,  # a bug shows its traceback as it is
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def lensa(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


# In the order of `lensa --help`.
for group in (
    demo,
    setup,
    doctor,
    check,
    train,
    batch,
    jobs,
    avatars,
    deploy,
    serve,
    generate,
    ps,
    down,
    export,
    id_photo,
    mirror,
):
    group.register(app)


def main() -> None:
    """Run the command line."""
    app()
