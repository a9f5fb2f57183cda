"""`lensa deploy`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensa.cli.output import Json, Settings, emit, fields, told
from lensa.cli.place import with_client
from lensa.cli.times import end_words
from lensa.errors import EndpointError

if TYPE_CHECKING:
    from lensa.client import Client
    from lensa.endpoint import Endpoint


def register(app: typer.Typer) -> None:
    app.command()(deploy)


@told
@with_client
def deploy(
    client: Client,
    avatars: Annotated[
        list[str],
        typer.Argument(metavar="AVATAR...", help="Ids, subjects' names, or folders; on one base."),
    ],
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="On this machine; a free one if not given."),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(help="SageMaker: 90m, 2h, 3d or forever, then it is deleted; 2h."),
    ] = None,
    extend: Annotated[
        bool | None, typer.Option("--extend", help="SageMaker: each use lets that begin anew.")
    ] = None,
    instance_type: Annotated[
        str | None, typer.Option(help="SageMaker: the machine; ml.g5.xlarge if not given.")
    ] = None,
    asynchronous: Annotated[
        bool | None,
        typer.Option("--asynchronous", help="SageMaker: through S3, no machine when idle."),
    ] = None,
    serving: Annotated[
        str | None, typer.Option(help="SageMaker: aws, or own with an --image of yours.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(metavar="URI", help="SageMaker: of --serving own, in your ECR.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="SageMaker: lensa-...; one that runs is updated.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="SageMaker: until it has drawn an image.")
    ] = True,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Serve avatars: on this machine until Ctrl-C, on SageMaker until their end.

    On SageMaker the same command finds the endpoint that runs, and updates it if it differs.
    """
    options = fields(
        settings,
        port=port,
        keep=keep,
        extend=extend,
        instance_type=instance_type,
        asynchronous=asynchronous,
        serving=serving,
        image=image,
        name=name,
    )
    on_event = (lambda event: print(event.line(), flush=True)) if json else None
    endpoint = client.deploy(*avatars, wait=wait, on_event=on_event, **options)
    if endpoint.name is None:
        _serve(endpoint, json)
    elif json:
        emit(_told(endpoint))
    else:
        _explain(client, endpoint, wait)


def _serve(endpoint: Endpoint, json: bool) -> None:
    """Stay until the endpoint of this machine ends, or somebody ends it."""
    with endpoint:
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
    raise EndpointError(f"the endpoint of {endpoint.avatar} ended by itself.")


def _told(endpoint: Endpoint) -> dict[str, Any]:
    end = endpoint.end
    return {
        "endpoint": endpoint.name,
        "avatar": endpoint.avatar,
        "avatars": endpoint.avatars,
        "url": endpoint.url,
        "end": None if end is None else end.isoformat(),
    }


def _explain(client: Client, endpoint: Endpoint, ready: bool) -> None:
    name, flags = endpoint.name, client.backend.flags
    state = "answers" if ready else "is on its way: lensa ps shows when it is InService"
    print(f"{name} {state}")
    print(f"  ends      {end_words(endpoint.end, forever=endpoint.end is None)}")
    print(
        f'  ask it    lensa generate {endpoint.avatar} "as an astronaut" --endpoint {name}{flags}'
    )
    print(f"  costs     lensa ps{flags}")
    print(f"  end it    lensa down {name}{flags}")
