"""`lensa train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lensa.cli.output import Json, Settings, emit, fields, told


def register(app: typer.Typer) -> None:
    app.command()(train)


@told
def train(
    photos: Annotated[Path, typer.Argument(help="A folder with 4 to 20 photos of one subject.")],
    subject: Annotated[
        str | None, typer.Option(help="Your name for the subject; the folder's if not given.")
    ] = None,
    kind: Annotated[
        str, typer.Option(help="person, pet or object: chooses the recipe.")
    ] = "person",
    base: Annotated[
        str | None,
        typer.Option(help="sd15, realistic-vision, mini, a hub id, a folder or a .safetensors."),
    ] = None,
    method: Annotated[str, typer.Option(help="lora (megabytes) or full (all weights).")] = "lora",
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of the UNet.")] = None,
    class_noun: Annotated[
        str | None, typer.Option(help="What the subject is: person, dog, teapot.")
    ] = None,
    text_encoder: Annotated[
        bool | None, typer.Option("--text-encoder/--no-text-encoder", help="Train it too.")
    ] = None,
    prior: Annotated[
        bool | None, typer.Option("--prior/--no-prior", help="Prior preservation.")
    ] = None,
    class_photos: Annotated[
        Path | None, typer.Option(help="Your own class images; generated if not given.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, fp16 or bf16.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random.")] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Start the job and return at once.")
    ] = False,
    backend: Annotated[str | None, typer.Option(help="local.")] = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Train an avatar on a folder of photos.

    The same command is the same job: it finds the finished avatar, follows the running job, or
    goes on from the last checkpoint of one that was stopped or interrupted.
    """
    from lensa.client import Client
    from lensa.contract.events import Event

    client = Client(backend=backend)
    options: dict[str, Any] = fields(
        settings,
        steps=steps,
        learning_rate=learning_rate,
        class_noun=class_noun,
        train_text_encoder=text_encoder,
        prior_preservation=prior,
        precision=precision,
        seed=seed,
    )

    def print_event(event: Event) -> None:
        print(event.line(), flush=True)

    options.update(subject=subject, kind=kind, base=base, method=method, class_photos=class_photos)
    if detach:
        job = client.train(photos, wait=False, **options)
        if json:
            emit({"job": job.name, "status": job.status})
        else:
            print(f"{job.name} is under way. Watch it with: lensa logs -f {job.name}")
        return
    avatar = client.train(photos, on_event=print_event if json else None, **options)
    if json:
        emit(
            {
                "avatar": avatar.id,
                "path": str(avatar.path),
                "steps": avatar.manifest.steps_trained,
                "samples": [str(path) for path in avatar.samples],
            }
        )
    else:
        print(f"avatar {avatar.id}\n  in {avatar.path}")
        print(f'  try: lensa generate {avatar.id} "as an astronaut" --count 4 --out out/')
