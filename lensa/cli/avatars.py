"""`lensa avatars`, `lensa styles`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lensa.cli.output import Json, emit, table, told
from lensa.cli.place import with_client
from lensa.cli.styles import styles

if TYPE_CHECKING:
    from lensa.client import Client

AvatarName = Annotated[
    str, typer.Argument(metavar="AVATAR", help="Its id, its subject's name, or its folder.")
]


def register(app: typer.Typer) -> None:
    app.command()(avatars)
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
