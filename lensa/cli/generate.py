"""`lensa generate`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensa.cli.output import Json, Settings, emit, fields, told
from lensa.cli.place import with_client
from lensa.errors import ConfigError

if TYPE_CHECKING:
    from lensa.client import Client
    from lensa.endpoint import Endpoint
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
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="SageMaker: ask this one; any that has it if not given."),
    ] = None,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait/--no-wait", help="Wait for them, or leave the request with an endpoint."
        ),
    ] = True,
    pending: Annotated[
        str | None, typer.Option(metavar="ID", help="Fetch what --no-wait has left, once.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the images go.")] = Path("gallery"),
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Make images with an avatar. Exit code 1 if not all of them could be drawn."""
    from lensa.cli.pending import fetch, leave, only_for
    from lensa.gallery import make_writable
    from lensa.requests import make_request

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
    if pending is not None:
        said: dict[str, object] = {
            "AVATAR": avatar,
            "a prompt": prompt,
            "--style": style,
            "--styles": many,
        }
        said |= {"--like": like, "--from": image, "--no-wait": not wait, **options}
        show(fetch(client, only_for(endpoint, "--pending", **said), pending, out), out, json)
        return
    if not wait:
        only_for(endpoint, "--no-wait", **{"--styles": many, "--like": like})
    if like is not None:
        drawer = _Drawer(client, endpoint, avatar)
        show(_again(drawer, prompt, like, image, out, style or many, options), out, json)
        return
    if avatar is None and endpoint is None:
        raise ConfigError("Say whose images: lensa generate AVATAR; lensa avatars lists them.")
    drawer = _Drawer(client, endpoint, avatar)
    if image is not None:
        options["image"] = image
    if many is not None:
        if style is not None:
            raise ConfigError("--style and --styles are both given: leave one of them out.")
        _generate_pack(drawer, prompt, many, out, options, json)
        return
    make_request(prompt, style=style, **options)  # refused before a folder is made
    if not wait:
        options |= {"style": style, **drawer.named}
        with drawer.at_hand() as drawing:
            leave(drawing, prompt, json=json, flags=client.backend.flags, **options)
        return
    make_writable(out)
    with drawer.at_hand() as drawing:
        gallery = drawing.generate(prompt, style=style, **{**options, **drawer.named})
    show(gallery, out, json)


class _Drawer:
    """Who draws: an avatar, with an endpoint that is at hand, or an endpoint by its name."""

    def __init__(self, client: Client, endpoint: str | None, avatar: str | None) -> None:
        self._client, self._endpoint, self._avatar = client, endpoint, avatar

    def of(self, avatar: str) -> _Drawer:
        """Return the same for an avatar, unless one was named."""
        return _Drawer(self._client, self._endpoint, self._avatar or avatar)

    @property
    def named(self) -> dict[str, str]:
        """The field that names an avatar of an endpoint."""
        if self._endpoint is None or self._avatar is None:
            return {}
        return {"avatar": self._avatar}

    @property
    def nobody(self) -> bool:
        return self._endpoint is None and self._avatar is None

    @property
    def base(self) -> str:
        """The name of the base model that is drawn with."""
        avatar = self._avatar or self._client.endpoint(str(self._endpoint)).avatar
        return self._client.avatar(avatar).manifest.config.base.name

    @contextmanager
    def at_hand(self) -> Iterator[Endpoint]:
        if self._endpoint is not None:
            yield self._client.endpoint(self._endpoint)
            return
        with self._client.avatar(str(self._avatar)).at_hand() as endpoint:
            yield endpoint


def _again(
    drawer: _Drawer,
    prompt: str,
    like: Path,
    image: Path | None,
    out: Path,
    style: str | None,
    options: dict[str, Any],
) -> Gallery:
    from lensa.gallery import make_writable
    from lensa.requests import request_again

    if style is not None:
        raise ConfigError("--like takes the style from the image: leave --style out.")
    if prompt:
        options["prompt"] = prompt
    request = request_again(like, image=image, **options)  # refused before anything starts
    if drawer.nobody and request.avatar is None:
        raise ConfigError(f"{like} names no avatar: lensa generate AVATAR --like {like}")
    if drawer.nobody:
        drawer = drawer.of(str(request.avatar))
    # Whoever the file names: the avatar that was asked for draws.
    options = {"avatar": None, **options, **drawer.named}
    make_writable(out)
    with drawer.at_hand() as endpoint:
        return endpoint.generate_like(like, image=image, **options)


def show(gallery: Gallery, out: Path, json: bool) -> None:
    """Save the images and print where they are. Exit code 1 if more were asked for."""
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
    else:
        for warning in gallery.warnings:
            print(f"note: {warning}")
        for path, drawn in zip(paths, gallery, strict=True):
            print(f"{path}  {drawn.prompt}")
    if gallery.partial:
        raise typer.Exit(1)


def _generate_pack(
    drawer: _Drawer, prompt: str, words: str, out: Path, options: dict[str, Any], json: bool
) -> None:
    """Draw several styles. Exit code 1 if one of them failed; the others are kept."""
    from lensa.cli.style_pack import draw_pack
    from lensa.prompts.choosing import choose_styles

    chosen = choose_styles(words, base=drawer.base)
    notes = [] if chosen.note is None else [chosen.note]
    options |= drawer.named
    drawn = draw_pack(drawer.at_hand(), prompt, chosen.styles, out, **options)
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
