"""A container's lines in CloudWatch Logs."""

from __future__ import annotations

from collections.abc import Callable

from lensa.testing.account import ACCOUNT
from lensa.testing.clock import Clock


def open_stream(group: str, stream: str, region: str, clock: Clock) -> Callable[[str], None]:
    """Make a log stream for a new container, and return what takes its lines.

    A name that is taken gets a number behind it. Lines are written to moto's backend
    itself: PutLogEvents refuses times that are far from real ones, and the twin's clock may be days
    ahead.
    """
    from moto.logs.models import logs_backends

    logs = logs_backends[ACCOUNT][region]
    logs.ensure_log_group(group)
    streams = logs.groups[group]
    first, number = stream, 1
    while stream in streams.streams:
        number += 1
        stream = f"{first}-{number}"
    streams.create_log_stream(stream)

    def take(line: str) -> None:
        if line and stream in streams.streams:  # CloudWatch has no empty events
            when = int(clock.timestamp() * 1000)
            streams.put_log_events(stream, [{"timestamp": when, "message": line}])

    return take
