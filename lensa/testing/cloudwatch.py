"""A container's lines in CloudWatch Logs."""

from __future__ import annotations

from collections.abc import Callable

from lensa.testing.account import ACCOUNT
from lensa.testing.clock import Clock
from lensa.testing.job import TwinJob

_GROUP = "/aws/sagemaker/TrainingJobs"


def open_stream(job: TwinJob, clock: Clock) -> Callable[[str], None]:
    """Make a log stream for a new container, and return what takes its lines.

    They are written to moto's backend itself: PutLogEvents refuses times that are far from real
    ones, and the twin's clock may be days ahead.
    """
    from moto.logs.models import logs_backends

    logs = logs_backends[ACCOUNT][job.region]
    logs.ensure_log_group(_GROUP)
    group = logs.groups[_GROUP]
    number = int(clock.timestamp())
    while (stream := f"{job.name}/algo-1-{number}") in group.streams:
        number += 1
    group.create_log_stream(stream)

    def take(line: str) -> None:
        if line and stream in group.streams:  # CloudWatch has no empty events
            when = int(clock.timestamp() * 1000)
            group.put_log_events(stream, [{"timestamp": when, "message": line}])

    return take
