"""`lensa avatars`, `lensa generate`, `lensa deploy`, `lensa styles`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lensa.cli.output import Json, Settings, emit, fields, table, told
from lensa.cli.place import with_client
from lensa.errors import EndpointError

if TYPE_CHECKING:
    from lensa.client import Client

AvatarName = Annotated[
    str, typer.Argument(metavar="AVATAR", help="Its id, its subject's name, or its folder.")
]


def register(app: typer.Typer) -> None:
    app.command()(avatars)
    app.command()(generate)
    app.command()(deploy)
    app.command()(styles)


@told
@with_client
def avatars(client: Client, json: Json = False) -> None:
    """List finished avatars, the newest first."""
    found = [info for info in client.jobs() if info.status == "completed"]
    if json:
        emit(
            {
                "avatars": [
                    {
                        "avatar": info.name,
                        "subject": info.subject.name,
                        "base": info.base,
                        "steps": info.steps,
                        "path": str(client.avatar(info.name).path),
                    }
                    for info in found
                ]
            }
        )
        return
    table(
        ["avatar", "subject", "base", "steps", "trained"],
        [
            [
                info.name,
                info.subject.name,
                info.base,
                str(info.steps),
                f"{info.created.astimezone():%Y-%m-%d %H:%M}",
            ]
            for info in found
        ],
    )


@told
@with_client
def generate(
    client: Client,
    avatar: AvatarName,
    prompt: Annotated[
        str, typer.Argument(help="What to draw. {subject} stands for the subject.")
    ] = "",
    count: Annotated[int, typer.Option(help="How many images.")] = 1,
    seed: Annotated[
        int | None, typer.Option(help="The same seed and prompt give the same image.")
    ] = None,
    style: Annotated[str | None, typer.Option(help="A style: see lensa styles.")] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What not to draw.")] = None,
    expand: Annotated[
        bool | None, typer.Option("--expand", help="Let the prompt expander go on writing.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="How literally to take it.")] = None,
    out: Annotated[Path, typer.Option(help="Where the images go.")] = Path("gallery"),
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Make images with an avatar."""
    from lensa.endpoint import make_request
    from lensa.gallery import make_writable

    options = fields(
        settings,
        count=count,
        seed=seed,
        negative_prompt=negative_prompt,
        expand=expand,
        steps=steps,
        guidance_scale=guidance_scale,
    )
    model = client.avatar(avatar)
    make_request(prompt, style=style, **options)  # refused before a folder is made
    make_writable(out)
    gallery = model.generate(prompt, style=style, **options)
    paths = gallery.save(out)
    if json:
        emit(
            {
                "images": [str(path) for path in paths],
                "prompts": [image.prompt for image in gallery],
                "seeds": [image.seed for image in gallery],
                "warnings": list(gallery.warnings),
                "seconds": gallery.seconds,
            }
        )
        return
    for warning in gallery.warnings:
        print(f"note: {warning}")
    for path, image in zip(paths, gallery, strict=True):
        print(f"{path}  {image.prompt}")


@told
@with_client
def deploy(
    client: Client,
    avatar: AvatarName,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="A free one if not given.")
    ] = None,
    json: Json = False,
) -> None:
    """Serve an avatar over HTTP on this machine, until Ctrl-C."""
    with client.avatar(avatar).deploy(port=port) as endpoint:
        if json:
            emit({"avatar": endpoint.avatar, "url": endpoint.url})
        else:
            print(f"{endpoint.avatar} answers at {endpoint.url}/invocations (Ctrl-C ends it)")
            print(
                f"  curl -s {endpoint.url}/invocations -H 'Content-Type: application/json' "
                "-H 'Accept: image/png' -d '{\"prompt\": \"as an astronaut\"}' -o avatar.png"
            )
        while endpoint.alive():
            time.sleep(0.2)
    raise EndpointError(f"the endpoint of {avatar} ended by itself.")


@told
def styles(json: Json = False) -> None:
    """List the styles that `generate --style` knows."""
    from lensa.prompts.styles import styles as all_styles

    found = all_styles()
    if json:
        emit({"styles": [style.model_dump(mode="json") for style in found.values()]})
        return
    table(["style", "", "pack"], [[name, style.label, style.pack] for name, style in found.items()])
