"""What endpoints that are gone have left: their end deletes them, and nothing else.

Models, configurations and files cost nothing by the hour. They are swept by the next deployment of
that name, and by `lensa down --expired`. Answers that nobody has fetched yet are no part of that:
they were paid for, and go by the bucket's own rule, or when the endpoint is taken down by its name.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lensa.backends.sagemaker import keys
from lensa.backends.sagemaker.hosting import parts
from lensa.backends.sagemaker.hosting.options import ENDPOINT, FOREVER
from lensa.backends.sagemaker.hosting.order import Site
from lensa.backends.sagemaker.hosting.schedule import Schedules
from lensa.backends.sagemaker.hosting.state import status

_YOUNG = timedelta(hours=1)  # longer than a deployment takes to get as far as its endpoint


def orphans(site: Site) -> list[str]:
    """Return the endpoints that are gone and have left something, by name."""
    found = {part.endpoint for part in parts.configs(site.account) + parts.models(site.account)}
    found |= set(Schedules(site.account).names())
    found |= {item.key.split("/")[1] for item in site.store.list("endpoints/")}
    names = sorted(name for name in found if ENDPOINT.fullmatch(name))
    return [name for name in names if status(site.account, name) is None and is_orphan(site, name)]


def is_orphan(site: Site, endpoint: str) -> bool:
    """Whether what is there of an endpoint that is not there may go.

    Not if somebody is making it right now: its end is set first, and lies ahead. One that is made
    for ever has none, and is known by its youth.
    """
    now = datetime.now(UTC)
    end = Schedules(site.account).end(endpoint)
    if end is not None:
        return end < now
    left = _parts(site, endpoint)
    if left:
        return not any(part.keep == FOREVER and now - part.created < _YOUNG for part in left)
    files = _files(site, endpoint)
    return bool(files) and now - max(files) > _YOUNG


def has_left(site: Site, endpoint: str) -> bool:
    """Whether anything is there that is called after an endpoint."""
    return bool(
        Schedules(site.account).end(endpoint)
        or _parts(site, endpoint)
        or _files(site, endpoint)
        or site.store.exists(f"{keys.asynchronous(endpoint)}/")
    )


def _parts(site: Site, endpoint: str) -> list[parts.Part]:
    return parts.configs(site.account, endpoint) + parts.models(site.account, endpoint)


def _files(site: Site, endpoint: str) -> list[datetime]:
    """Return when each file that an endpoint is made of was written."""
    return [item.modified for item in site.store.list(f"{keys.endpoint(endpoint)}/")]
