"""`lensa serve`."""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING, Annotated

import typer

from lensa.cli.output import Json, emit, told
from lensa.cli.place import with_client
from lensa.errors import EndpointError

if TYPE_CHECKING:
    from lensa.client import Client


def register(app: typer.Typer) -> None:
    app.command()(serve)


@told
@with_client
def serve(
    client: Client,
    avatars: Annotated[
        list[str],
        typer.Argument(metavar="AVATAR...", help="Ids, subjects' names, or folders; on one base."),
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one.")] = 8080,
    host: Annotated[
        str, typer.Option(help="Another than this machine's own wants a token: $LENSA_SERVE_TOKEN.")
    ] = "127.0.0.1",
    json: Json = False,
) -> None:
    """Serve avatars over HTTP on this machine, until Ctrl-C.

    Who asks from another machine has to know the token, which is made up and shown if
    $LENSA_SERVE_TOKEN has none.
    """
    from lensa.backends.base import LOOPBACK
    from lensa.contract.environment import SERVE_TOKEN

    token = os.environ.get(SERVE_TOKEN) or None
    if token is None and host not in LOOPBACK:
        token = secrets.token_urlsafe(24)
    with client.serve(*avatars, port=port, host=host, token=token, show_log=True) as endpoint:
        names = [client.avatar(name).manifest.avatar for name in dict.fromkeys(avatars)]
        if json:
            emit({"avatars": names, "url": endpoint.url, "token": token})
        else:
            _explain(endpoint.url, names, token)
        while endpoint.alive():
            time.sleep(0.2)
    raise EndpointError("the server ended by itself.")


def _explain(url: str, names: list[str], token: str | None) -> None:
    print(f"{', '.join(names)} at {url} (Ctrl-C ends it)")
    if token is not None:
        print(f"  token  {token}")
    head = f" -H 'Authorization: Bearer {token}'" if token is not None else ""
    print(
        f"  curl -s {url}/invocations -H 'Content-Type: application/json' -H 'Accept: image/png'"
        f'{head} -d \'{{"prompt": "me as an astronaut", "avatar": "{names[-1]}"}}\' -o avatar.png'
    )
    print(f"  {url}/openapi.json says what else can be asked for")
