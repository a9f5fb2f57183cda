"""`lensa train`."""

from __future__ import annotations

import json as jsonlib
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensa.cli.output import Backend, Json, Settings, emit, fields, told
from lensa.errors import ConfigError

if TYPE_CHECKING:
    from lensa.costs import Forecast
    from lensa.photos.showing.upload import Upload


def register(app: typer.Typer) -> None:
    app.command()(train)


@told
def train(
    photos: Annotated[
        str | None,
        typer.Argument(
            help="4 to 20 photos of one subject: a folder, a zip or s3://BUCKET/FOLDER."
        ),
    ] = None,
    concepts: Annotated[
        Path | None,
        typer.Option(help="In their place a concepts_list.json: several subjects, one avatar."),
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="Your name for the subject; the folder's if not given.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(help="person, pet, object or style: chooses the recipe; person if not given."),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(help="sd15, realistic-vision, mini, a hub id, a folder or a .safetensors."),
    ] = None,
    allow_ckpt: Annotated[
        bool, typer.Option("--allow-ckpt", help="The base may be a .ckpt: its weights are read.")
    ] = False,
    vae: Annotated[
        str | None,
        typer.Option(help="In the place of the base's own: a hub id or a folder."),
    ] = None,
    method: Annotated[str, typer.Option(help="lora (megabytes) or full (all weights).")] = "lora",
    steps: Annotated[
        int | None, typer.Option(help="Optimiser steps; 100 a photo, within the kind's range.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of the UNet.")] = None,
    class_noun: Annotated[
        str | None, typer.Option(help="What the subject is: person, dog, teapot.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(help='A rare word for it; "cipher" turns its name. The base has its own.'),
    ] = None,
    captions: Annotated[
        bool,
        typer.Option("--captions/--no-captions", help="Learn photo.jpg by the text of photo.txt."),
    ] = True,
    text_encoder: Annotated[
        bool | None, typer.Option("--text-encoder/--no-text-encoder", help="Train it too.")
    ] = None,
    prior: Annotated[
        bool | None, typer.Option("--prior/--no-prior", help="Prior preservation.")
    ] = None,
    class_photos: Annotated[
        Path | None, typer.Option(help="Your own class images; generated if not given.")
    ] = None,
    masked_loss: Annotated[
        bool | None,
        typer.Option("--masked-loss", help="Learn the subject, hardly what is around it."),
    ] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, fp16 or bf16.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random.")] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Enter folders inside the folder.")
    ] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Train even on photos that the coach would stop at.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="SageMaker: upload the photos without asking.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Start the job and return at once.")
    ] = False,
    backend: Backend = None,
    instance_type: Annotated[
        str | None, typer.Option(help="SageMaker: the machine; ml.g5.2xlarge if not given.")
    ] = None,
    spot: Annotated[
        bool | None, typer.Option("--spot/--no-spot", help="SageMaker: spare capacity, cheaper.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="SageMaker: dollars; the job exports what it has by then.")
    ] = None,
    create_bucket: Annotated[
        bool | None, typer.Option("--create-bucket", help="SageMaker: make the bucket if need be.")
    ] = None,
    role: Annotated[
        str | None, typer.Option(help="SageMaker: the job's role, a name or an ARN.")
    ] = None,
    bucket: Annotated[str | None, typer.Option(help="SageMaker: where everything goes.")] = None,
    region: Annotated[
        str | None, typer.Option(help="SageMaker: as configured if not given.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="SageMaker: of your AWS settings.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what AWS would be sent, and send nothing.")
    ] = False,
    forecast: Annotated[
        bool, typer.Option("--plan", help="The same, with time and price.")
    ] = False,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Train an avatar on photos, after a look at them (see lensa check).

    With SageMaker, what would be uploaded is shown first, and asked for. The same command is the
    same job: it finds the finished avatar, follows the running job, or goes on from the last
    checkpoint of one that was stopped or interrupted.
    """
    from lensa.client import Client
    from lensa.contract.events import Event

    client = Client(backend=backend, role=role, bucket=bucket, region=region, profile=profile)
    options: dict[str, Any] = fields(
        settings,
        steps=steps,
        learning_rate=learning_rate,
        class_noun=class_noun,
        token=token,
        vae=vae,
        train_text_encoder=text_encoder,
        prior_preservation=prior,
        masked_loss=masked_loss,
        precision=precision,
        seed=seed,
        instance_type=instance_type,
        spot=spot,
        budget=budget,
        create_bucket=create_bucket,
    )

    def print_event(event: Event) -> None:
        print(event.line(), flush=True)

    confirm = None if yes else _confirmed
    options.update(subject=subject, kind=kind, base=base, method=method, class_photos=class_photos)
    options.update(recursive=recursive, concepts=concepts, captions=captions)
    options.update(allow_ckpt=allow_ckpt)
    if dry_run or forecast:
        _print_plan(*client.dry_run(photos, **options), with_forecast=forecast, json=json)
        return
    options.update(anyway=anyway)
    if detach:
        job = client.train(photos, wait=False, confirm=confirm, **options)
        if json:
            emit({"job": job.name, "status": job.status})
        else:
            print(f"{job.name} is under way. Watch it with: {job.command('logs -f')}")
        return
    on_event = print_event if json else None
    avatar = client.train(photos, on_event=on_event, confirm=confirm, **options)
    choice = avatar.manifest.choice
    if json:
        emit(
            {
                "avatar": avatar.id,
                "path": str(avatar.path),
                "steps": avatar.manifest.steps_trained,
                "choice": None if choice is None else choice.model_dump(mode="json"),
                "samples": [str(path) for path in avatar.samples],
                "report": str(avatar.report) if avatar.report is not None else None,
                "chart": str(avatar.chart) if avatar.chart is not None else None,
            }
        )
    else:
        print(f"avatar {avatar.id}\n  in {avatar.path}")
        if choice is not None:
            print(f"  {choice.reason}")
        if choice is not None and choice.warning is not None:
            print(f"  warning: {choice.warning}")
        if avatar.report is not None:
            print(f"  how it went: {avatar.report}")
        here = client.backend.name == "local"
        which = avatar.id if here else f"{avatar.path} --backend local"
        print(f'  try: lensa generate {which} "as an astronaut" --count 4 --out out/')
        if not here:
            print(f"   or: lensa deploy {avatar.id}{client.backend.flags}")


def _confirmed(upload: Upload) -> bool:
    """Show what would leave the machine, and ask; ConfigError where there is nobody to ask."""
    for line in upload.lines():
        print(line, file=sys.stderr)
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr)):
        raise ConfigError(
            "Nothing was uploaded: there is no terminal to ask on. If all that may be, add --yes."
        )
    try:
        return typer.confirm("Are they yours to use, and may they be uploaded?", err=True)
    except typer.Abort:  # Ctrl-C, or the end of the input
        return False


def _print_plan(
    operations: dict[str, Any], forecast: Forecast, *, with_forecast: bool, json: bool
) -> None:
    plan = {**asdict(forecast), "dollars": forecast.dollars, "most_dollars": forecast.most_dollars}
    if json:
        emit({**operations, **({"plan": plan} if with_forecast else {})})
        return
    print(jsonlib.dumps(operations, indent=2))
    if with_forecast:
        for phase, seconds in forecast.seconds.items():
            print(f"{phase:<14}{seconds / 60:8.1f} min")
        for name, seconds, dollars in (
            ("together", forecast.total_seconds, forecast.dollars),
            ("at most", forecast.most_seconds, forecast.most_dollars),
        ):
            print(f"{name:<14}{seconds / 60:8.1f} min  {_dollars(dollars)}")
        if forecast.stops_early:
            print("That is for all steps: a training that has learned its subject stops before.")
        print("An estimate by rules of thumb; on demand, at the price of us-east-1.")


def _dollars(value: float | None) -> str:
    return "(the price is not in the table)" if value is None else f"${value:.2f}"
