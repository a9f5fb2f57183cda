"""`lensa jobs`, `lensa logs`, `lensa stop`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from lensa.cli.output import Backend, Json, emit, table, told

Job = Annotated[
    str, typer.Argument(metavar="JOB", help="The job's name, as `lensa jobs` shows it.")
]


def register(app: typer.Typer) -> None:
    app.command()(jobs)
    app.command()(logs)
    app.command()(stop)


@told
def jobs(backend: Backend = None, json: Json = False) -> None:
    """List training jobs, the newest first."""
    from lensa.client import Client

    found = Client(backend=backend).jobs()
    if json:
        emit({"jobs": [asdict(info) for info in found]})
        return
    table(
        ["job", "subject", "status", "base", "steps", "created"],
        [
            [
                info.name,
                info.subject.name,
                info.status,
                info.base,
                str(info.steps),
                f"{info.created.astimezone():%Y-%m-%d %H:%M}",
            ]
            for info in found
        ],
    )


@told
def logs(
    job: Job,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the job ends.")] = False,
    backend: Backend = None,
    json: Json = False,
) -> None:
    """Print a job's log."""
    from lensa.client import Client

    for line in Client(backend=backend).attach(job).logs(follow=follow):
        if json:
            emit({"line": line})
        else:
            print(line, flush=True)


@told
def stop(job: Job, backend: Backend = None, json: Json = False) -> None:
    """Stop a job with a checkpoint saved.

    The same `lensa train` goes on from there.
    """
    from lensa.client import Client

    handle = Client(backend=backend).attach(job)
    handle.stop()
    if json:
        emit({"job": job, "status": handle.status})
    else:
        print(f"{job} is {handle.status}")
