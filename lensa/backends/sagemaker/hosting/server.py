"""A deployed endpoint: asked as any server is, and with avatars added and removed as it runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import cached_property

from lensa.backends.base import Queue
from lensa.backends.sagemaker.hosting import parts
from lensa.backends.sagemaker.hosting.asking import SagemakerServer
from lensa.backends.sagemaker.hosting.lease import Lease
from lensa.backends.sagemaker.hosting.order import Site
from lensa.backends.sagemaker.hosting.removing import remove
from lensa.backends.sagemaker.hosting.request import AVATAR_TAG
from lensa.backends.sagemaker.hosting.shelf import Shelf
from lensa.backends.sagemaker.hosting.state import EndpointState
from lensa.errors import EndpointError

log = logging.getLogger("lensa")


class DeployedServer(SagemakerServer):
    """An endpoint of ours that is there. `contents`: what it serves. `find` returns the id of an
    avatar by its id or its subject's name."""

    def __init__(
        self,
        site: Site,
        state: EndpointState,
        contents: parts.Contents,
        find: Callable[[str], str],
        *,
        on_wait: Callable[[str], None] | None = None,
        found: bool = True,
    ) -> None:
        """`found`: see `lensa.backends.base.Server`."""
        self._lease = Lease(site.account, state)
        super().__init__(
            site.account,
            site.store,
            state.name,
            asynchronous=contents.asynchronous,
            close=lambda: take_down(site, state.name),
            used=self._lease.used,
            poll_seconds=site.settings.poll_seconds,
            # A schedule goes when it is over; what use has moved nobody knows then.
            ends=lambda: self._lease.end() or (None if state.extend else state.due),
            on_wait=on_wait,
        )
        self.contents, self._state, self.found = contents, state, found
        self._shelf = Shelf(site.store, state.name, contents, find)

    @cached_property
    def avatar(self) -> str:
        """The avatar that draws if a request names none."""
        first = self._shelf.first()
        default = self._state.tags.get(AVATAR_TAG, "")
        if default in first:
            return default
        if not first:
            raise EndpointError(
                f"the endpoint {self.endpoint} holds no avatar (any more): deploy it again."
            )
        return first[0]

    @property
    def shelf(self) -> Shelf:
        return self._shelf

    def end(self) -> datetime | None:
        """Return when it is deleted; None: never by itself."""
        return self._lease.end()


def queue_of(site: Site, endpoint: str, state: EndpointState | None) -> Queue:
    """Return where an endpoint's requests lie. `state` is None, if it has ended: all of them are in
    the bucket, and so are the answers."""
    lease = Lease(site.account, state) if state is not None and state.ours else None
    server = SagemakerServer(
        site.account,
        site.store,
        endpoint,
        asynchronous=True,
        close=lambda: None,
        used=lease.used if lease is not None else lambda: None,
        poll_seconds=site.settings.poll_seconds,
        ends=lease.end if lease is not None else None,
    )
    assert server.queue is not None  # it is asynchronous
    return server.queue


def take_down(site: Site, endpoint: str) -> None:
    """Remove an endpoint and all that belongs to it. Raises the first error if something stays."""
    done = remove(site.account, site.store, endpoint, poll_seconds=site.settings.poll_seconds)
    if done.unfetched:
        log.warning("with the endpoint %s went %s.", endpoint, done.unfetched)
    if done.failed:
        first, *_ = done.failed
        raise type(first)(
            f"{first} Not all of {endpoint} was removed; try again with: lensa down {endpoint}"
        )
