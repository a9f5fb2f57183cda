"""Where a command looks: on this machine, or in an AWS account. The same options everywhere."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer

OPTIONS: dict[str, Any] = {
    "backend": Annotated[
        str | None, typer.Option(help="local or sagemaker; from the settings if not given.")
    ],
    "region": Annotated[str | None, typer.Option(help="SageMaker: else as configured.")],
    "profile": Annotated[str | None, typer.Option(help="SageMaker: of your AWS settings.")],
    "role": Annotated[str | None, typer.Option(help="SageMaker: of jobs, endpoints: name or ARN.")],
    "bucket": Annotated[str | None, typer.Option(help="SageMaker: where everything lies.")],
}


def with_client(command: Callable[..., None]) -> Callable[..., None]:
    """Hand a command a client as its first argument, made of options that stand before its own
    last one (`--json`)."""
    hints = get_type_hints(command, localns={"Client": Any}, include_extras=True)
    _, *own = inspect.signature(command).parameters.values()
    ours = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in OPTIONS.items()
    ]
    named = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[p.name]) for p in own]
    parameters = [*named[:-1], *ours, *named[-1:]]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        from lensa.client import Client

        place = {name: given.pop(name, None) for name in OPTIONS}
        command(Client(**place), **given)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run
