"""`lensa generate --no-wait` and `--pending`: images that are drawn while nobody waits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensa.cli.output import emit
from lensa.errors import ConfigError

if TYPE_CHECKING:
    from lensa.client import Client
    from lensa.endpoint import Endpoint
    from lensa.gallery import Gallery


def only_for(endpoint: str | None, option: str, **others: object) -> str:
    """Return the endpoint's name; ConfigError without one, or with options that mean nothing
    here."""
    given = [name for name, value in others.items() if value not in (None, "", {}, False)]
    if given:
        raise ConfigError(f"{option} goes without {', '.join(given)}: leave that out.")
    if endpoint is None:
        raise ConfigError(
            f"{option} is about an asynchronous endpoint: say which, --endpoint NAME."
        )
    return endpoint


def leave(endpoint: Endpoint, prompt: str, *, json: bool, flags: str, **fields: Any) -> None:
    """Leave a request, and print what finds its images."""
    pending = endpoint.generate(prompt, wait=False, **fields)
    if json:
        emit({"pending": pending.id, "endpoint": endpoint.name})
        return
    print(pending.id)
    print(f"fetch it: lensa generate --pending {pending.id} --endpoint {endpoint.name}{flags}")


def fetch(client: Client, endpoint: str, id: str, out: Path) -> Gallery:
    """Return the images of a request, when they are there."""
    from lensa.gallery import make_writable

    pending = client.pending(endpoint, id)
    make_writable(out)  # better before they are fetched: that can be done once
    return pending.wait()
