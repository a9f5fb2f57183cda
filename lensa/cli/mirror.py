"""`lensa mirror`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensa.cli.output import Json, emit, told


def register(app: typer.Typer) -> None:
    app.command()(mirror)


@told
def mirror(
    base: Annotated[str, typer.Argument(help="sd15, realistic-vision, mini, a hub id, a folder.")],
    region: Annotated[str | None, typer.Option(help="As configured if not given.")] = None,
    profile: Annotated[str | None, typer.Option(help="Of your AWS settings.")] = None,
    bucket: Annotated[str | None, typer.Option(help="Where it goes.")] = None,
    create_bucket: Annotated[
        bool, typer.Option("--create-bucket", help="Make the bucket if need be.")
    ] = False,
    json: Json = False,
) -> None:
    """Copy a base model into your bucket.

    Jobs and endpoints then load it from there: quicker than from the hub, without a token, and in
    network isolation.
    """
    from lensa.client import Client

    client = Client(backend="sagemaker", region=region, profile=profile, bucket=bucket)
    address = client.mirror(base, **({"create_bucket": True} if create_bucket else {}))
    if json:
        emit({"base": base, "uri": address})
    else:
        print(f"{base} is at {address}")
