"""`lensa generate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensa.cli.output import Json, Settings, emit, fields, told
from lensa.cli.place import with_client
from lensa.errors import ConfigError

if TYPE_CHECKING:
    from lensa.avatar import Avatar
    from lensa.client import Client
    from lensa.gallery import Gallery


def register(app: typer.Typer) -> None:
    app.command()(generate)


@told
@with_client
def generate(
    client: Client,
    avatar: Annotated[
        str | None,
        typer.Argument(metavar="AVATAR", help="Its id, its subject's name, or its folder."),
    ] = None,
    prompt: Annotated[
        str, typer.Argument(help="What to draw. me, {subject} or its name stand for the subject.")
    ] = "",
    count: Annotated[int | None, typer.Option(help="How many images; 1 if not given.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="The same seed and prompt give the same image.")
    ] = None,
    quality: Annotated[
        str | None, typer.Option(help="draft, standard or best: speed against detail.")
    ] = None,
    style: Annotated[str | None, typer.Option(help="A style: see lensa styles.")] = None,
    many: Annotated[
        str | None,
        typer.Option(
            "--styles",
            metavar="STYLES",
            help="Several, each into a folder of its own: all, pack:NAME, or NAME,NAME.",
        ),
    ] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What not to draw.")] = None,
    expand: Annotated[
        bool | None, typer.Option("--expand", help="Let the prompt expander go on writing.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option("--from", metavar="IMAGE", help="Begin with a picture.")
    ] = None,
    strength: Annotated[
        float | None, typer.Option(help="How much of that picture is drawn anew: 0 to 1.")
    ] = None,
    face_detail: Annotated[
        bool | None, typer.Option("--face-detail", help="Draw small faces once more, larger.")
    ] = None,
    safety: Annotated[
        bool | None, typer.Option("--safety/--no-safety", help="Look for unsafe images, or do not.")
    ] = None,
    like: Annotated[
        Path | None, typer.Option(metavar="IMAGE", help="Make an image of lensa's again.")
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
        quality=quality,
        negative_prompt=negative_prompt,
        expand=expand,
        strength=strength,
        face_detail=face_detail,
        safety=safety,
        steps=steps,
        guidance_scale=guidance_scale,
    )
    if like is not None:
        _show(_again(client, avatar, prompt, like, image, out, style or many, options), out, json)
        return
    if avatar is None:
        raise ConfigError("Say whose images: lensa generate AVATAR; lensa avatars lists them.")
    model = client.avatar(avatar)
    if image is not None:
        options["image"] = image
    if many is not None:
        if style is not None:
            raise ConfigError("--style and --styles are both given: leave one of them out.")
        _generate_pack(model, prompt, many, out, options, json)
        return
    make_request(prompt, style=style, **options)  # refused before a folder is made
    make_writable(out)
    _show(model.generate(prompt, style=style, **options), out, json)


def _again(
    client: Client,
    avatar: str | None,
    prompt: str,
    like: Path,
    image: Path | None,
    out: Path,
    style: str | None,
    options: dict[str, Any],
) -> Gallery:
    from lensa.endpoint import request_again
    from lensa.gallery import make_writable

    if style is not None:
        raise ConfigError("--like takes the style from the image: leave --style out.")
    if prompt:
        options["prompt"] = prompt
    request = request_again(like, image=image, **options)  # refused before anything starts
    if avatar is None and request.avatar is None:
        raise ConfigError(f"{like} names no avatar: lensa generate AVATAR --like {like}")
    model = client.avatar(avatar or str(request.avatar))
    make_writable(out)
    return model.generate_like(like, image=image, **options)


def _show(gallery: Gallery, out: Path, json: bool) -> None:
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
    for path, drawn in zip(paths, gallery, strict=True):
        print(f"{path}  {drawn.prompt}")


def _generate_pack(
    model: Avatar, prompt: str, words: str, out: Path, options: dict[str, Any], json: bool
) -> None:
    """Draw several styles. Exit code 1 if one of them failed; the others are kept."""
    from lensa.cli.style_pack import draw_pack
    from lensa.prompts.choosing import choose_styles

    chosen = choose_styles(words, base=model.manifest.config.base.name)
    notes = [] if chosen.note is None else [chosen.note]
    drawn = draw_pack(model, prompt, chosen.styles, out, **options)
    if json:
        emit(drawn.to_json() | {"warnings": notes + drawn.warnings})
    else:
        for note in notes + drawn.warnings:
            print(f"note: {note}")
        for name, gallery in drawn.galleries.items():
            for path, image in zip(drawn.paths[name], gallery, strict=True):
                print(f"{path}  {image.prompt}")
    for name, message in drawn.failed.items():
        print(f"lensa: {name}: {message}", file=sys.stderr)
    if drawn.failed:
        raise typer.Exit(1)
