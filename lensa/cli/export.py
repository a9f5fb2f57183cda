"""`lensa export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lensa.cli.avatars import AvatarName
from lensa.cli.output import Json, emit, told
from lensa.cli.place import with_client
from lensa.errors import ConfigError

if TYPE_CHECKING:
    from lensa.client import Client


def register(app: typer.Typer) -> None:
    app.command()(export)


@told
@with_client
def export(
    client: Client,
    avatar: AvatarName,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="kohya (AUTOMATIC1111, ComfyUI), checkpoint (the whole model in one file), "
            "diffusers (a folder), lora (as trained). Else kohya, or checkpoint of full weights; "
            "with --push lora, or diffusers.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Where it goes; here if not given.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="fp16 or fp32; fp16 if not given.")] = None,
    ckpt: Annotated[
        bool, typer.Option("--ckpt", help="The checkpoint as .ckpt, for old programs.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    push: Annotated[
        str | None,
        typer.Option(metavar="OWNER/NAME", help="Upload to a hub repository, private; HF_TOKEN."),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Everybody can read the repository.")
    ] = False,
    consent: Annotated[
        bool, typer.Option("--consent", help="The person shown agrees to the upload.")
    ] = False,
    json: Json = False,
) -> None:
    """Write an avatar as files that other programs open, or push it to the Hugging Face Hub."""
    model = client.avatar(avatar)
    if push is None:
        if consent or public:
            raise ConfigError("--consent and --public are about --push: say to which repository.")
        made = model.export(to, out, precision=precision, ckpt=ckpt, force=force)
    else:
        if not consent and model.manifest.config.of_people and not json:
            consent = _ask(push, public)
        if ckpt:
            raise ConfigError("a .ckpt is not pushed, it can run code: leave --ckpt out.")
        made = model.push(
            push,
            to,
            out=out,
            precision=precision,
            force=force,
            public=public,
            consent=consent,
        )
    if json:
        emit(
            {
                "format": made.format,
                "path": None if made.path is None else str(made.path),
                "bytes": made.size,
                "url": made.url,
                "notes": made.notes,
                "usage": made.usage,
            }
        )
        return
    for note in made.notes:
        print(f"note: {note}")
    for place in filter(None, (made.path, made.url)):
        print(f"{place}  {made.format}, {_size(made.size)}")
    for line in made.usage:
        print(f"  {line}")


def _ask(repo: str, public: bool) -> bool:
    """Ask for the consent of the person shown. Nobody there to ask is a no."""
    if not sys.stdin.isatty():
        return False
    who = "everybody" if public else "those you let in"
    print(f"This hands a model of a person's likeness to {repo}, readable by {who}.")
    return typer.confirm("Does this person agree?", default=False)


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"
