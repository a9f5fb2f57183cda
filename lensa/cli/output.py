"""What every command shares: `--json`, one clear error, an exit code that means something.

0 done    1 it failed    2 something in the request has to change    130 stopped
"""

from __future__ import annotations

import functools
import json as jsonlib
import sys
from collections.abc import Callable
from typing import Annotated, Any, ParamSpec

import typer

from lensa.errors import ConfigError, LensaError

P = ParamSpec("P")

Json = Annotated[bool, typer.Option("--json", help="Print JSON; the last line is the result.")]
Backend = Annotated[
    str | None, typer.Option(help="local or sagemaker; from the settings if not given.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Any other field; may be repeated."),
]

_WIDE = 400  # columns, where there is no terminal


def told(command: Callable[P, None]) -> Callable[P, None]:
    """Turn a LensaError into one message on stderr and an exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except LensaError as error:
            if kwargs.get("json"):
                emit({"error": {"type": type(error).__name__, "message": str(error)}})
            print(f"lensa: {error}", file=sys.stderr)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except BrokenPipeError:  # the reader of our output has seen enough
            sys.stderr.close()
            raise typer.Exit(0) from None

    return run


def emit(value: dict[str, Any] | list[Any]) -> None:
    """Print one JSON value on one line."""
    print(jsonlib.dumps(value, default=str), flush=True)


def fields(settings: list[str] | None, **options: Any) -> dict[str, Any]:
    """Return the options that were given, and those of `--set`, read as JSON where they are."""
    given = {name: value for name, value in options.items() if value is not None}
    for setting in settings or []:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting!r}: write it as FIELD=VALUE.")
        name = name.strip().replace("-", "_")
        try:
            given[name] = jsonlib.loads(text)
        except ValueError:
            given[name] = text
    return given


def table(headers: list[str], rows: list[list[str]]) -> None:
    """Print rows under headers."""
    from rich.console import Console
    from rich.table import Table

    sheet = Table(box=None, pad_edge=False, header_style="bold")
    for number, header in enumerate(headers):
        # What is copied from a table has to be whole: a name is never cut, nothing is left out.
        sheet.add_column(header, no_wrap=number == 0, overflow="fold")
    for row in rows:
        sheet.add_row(*row)
    if sys.stdout.isatty():
        Console().print(sheet)
    else:
        Console(width=_WIDE).print(sheet)  # a line a row, for whoever reads it
