"""`lensa jobs`, `lensa attach`, `lensa logs`, `lensa stop`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from lensa.cli.output import Json, emit, table, told
from lensa.cli.place import with_client

if TYPE_CHECKING:
    from lensa.client import Client

Job = Annotated[
    str, typer.Argument(metavar="JOB", help="The job's name, as `lensa jobs` shows it.")
]


def register(app: typer.Typer) -> None:
    app.command()(jobs)
    app.command()(attach)
    app.command()(logs)
    app.command()(stop)


@told
@with_client
def jobs(client: Client, json: Json = False) -> None:
    """List training jobs, the newest first."""
    found = client.jobs()
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
@with_client
def attach(client: Client, job: Job, json: Json = False) -> None:
    """Follow a job to its end, as `lensa train` does.

    Ctrl-C stops the job, with a checkpoint saved.
    """
    from lensa.display import training_display

    handle = client.attach(job)
    if json:
        avatar = handle.wait(lambda event: print(event.line(), flush=True))
        report = str(avatar.report) if avatar.report is not None else None
        emit({"avatar": avatar.id, "path": str(avatar.path), "report": report})
        return
    with training_display([f"following {job}"]) as display:
        avatar = handle.wait(display)
    print(f"avatar {avatar.id}\n  in {avatar.path}")
    if avatar.report is not None:
        print(f"  how it went: {avatar.report}")


@told
@with_client
def logs(
    client: Client,
    job: Job,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the job ends.")] = False,
    json: Json = False,
) -> None:
    """Print a job's log."""
    for line in client.attach(job).logs(follow=follow):
        if json:
            emit({"line": line})
        else:
            print(line, flush=True)


@told
@with_client
def stop(client: Client, job: Job, json: Json = False) -> None:
    """Stop a job with a checkpoint saved.

    The same `lensa train` goes on from there.
    """
    handle = client.attach(job)
    handle.stop()
    if json:
        emit({"job": job, "status": handle.status})
    else:
        print(f"{job} is {handle.status}")
