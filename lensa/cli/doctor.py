"""`lensa doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from lensa.cli.output import Backend, Json, Settings, emit, fields, told

if TYPE_CHECKING:
    from lensa.diagnosis import Diagnosis

STANDS_IN_THE_WAY = 1


def register(app: typer.Typer) -> None:
    app.command()(doctor)


@told
def doctor(
    photos: Annotated[
        str | None,
        typer.Argument(help="To look at as well: a folder, a zip or s3://BUCKET/FOLDER."),
    ] = None,
    purpose: Annotated[
        str, typer.Option("--for", metavar="train|deploy", help="What is to be possible.")
    ] = "train",
    kind: Annotated[
        str | None, typer.Option(help="person, pet, object or style; person if not given.")
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="The base model, as in lensa train; of the settings.")
    ] = None,
    backend: Backend = None,
    instance_type: Annotated[
        str | None, typer.Option(help="SageMaker: the machine, whose quota and price are asked.")
    ] = None,
    spot: Annotated[
        bool | None, typer.Option("--spot/--no-spot", help="SageMaker: train on spare capacity.")
    ] = None,
    role: Annotated[str | None, typer.Option(help="SageMaker: a name or an ARN.")] = None,
    bucket: Annotated[str | None, typer.Option(help="SageMaker: where everything goes.")] = None,
    region: Annotated[str | None, typer.Option(help="SageMaker: else as configured.")] = None,
    profile: Annotated[str | None, typer.Option(help="SageMaker: of your AWS settings.")] = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Look for whatever would stand in the way of a training or an endpoint, before it costs.

    Nothing is changed, uploaded or started. All that is found is listed at once, each with what
    mends it. Exit code 0: nothing stands in the way; 1: something does.
    """
    from lensa.client import Client
    from lensa.contract import Kind
    from lensa.diagnosis import Purpose

    client = Client(backend=backend, role=role, bucket=bucket, region=region, profile=profile)
    options: dict[str, Any] = fields(settings, instance_type=instance_type, spot=spot)
    # `Client.doctor` refuses any other words.
    report = client.doctor(
        photos, purpose=cast(Purpose, purpose), kind=cast(Kind | None, kind), base=base, **options
    )
    if json:
        emit(report.to_json())
    else:
        _print(report)
    if not report.ok:
        raise typer.Exit(STANDS_IN_THE_WAY)


def _print(report: Diagnosis) -> None:
    """Print the report as it says itself, with colours. Addresses stay in one piece."""
    from rich.console import Console
    from rich.text import Text

    from lensa.diagnosis import COLOURS, SIGNS

    colours = {sign: COLOURS[status] for status, sign in SIGNS.items()}
    console = Console(soft_wrap=True, highlight=False)
    for line in str(report).splitlines():
        text = Text(line)
        if (colour := colours.get(line[:8].strip())) is not None:
            text.stylize(f"bold {colour}", 0, 8)
        console.print(text)
