"""`lensa avatars`, `lensa deploy`, `lensa styles`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from lensa.cli.output import Json, emit, table, told
from lensa.cli.place import with_client
from lensa.cli.styles import styles
from lensa.errors import EndpointError

if TYPE_CHECKING:
    from lensa.client import Client

AvatarName = Annotated[
    str, typer.Argument(metavar="AVATAR", help="Its id, its subject's name, or its folder.")
]


def register(app: typer.Typer) -> None:
    app.command()(avatars)
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
