"""A batch from its file to its report."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lensa.batches.columns import OPTIONS
from lensa.batches.report import BatchReport
from lensa.batches.rows import Row, check_file
from lensa.batches.running import OnChange, Running
from lensa.batches.showing import checking, display
from lensa.client import Client
from lensa.costs import Forecast
from lensa.errors import ConfigError
from lensa.gallery import make_writable

_PARALLEL = {"local": 1, "sagemaker": 4}
_MOST_PARALLEL = 64


@dataclass(frozen=True)
class Batch:
    """A file that was read and checked: nothing of it is started yet."""

    client: Client
    file: Path
    rows: tuple[Row, ...]
    parallel: int

    def upload_lines(self) -> list[str]:
        """Say what would leave this machine; nothing is said if nothing would."""
        if (place := self.client.backend.destination()) is None:
            return []
        uploads = [row.upload for row in self.rows]
        whole = replace(
            uploads[0],
            photos=sum(one.photos for one in uploads),
            class_photos=sum(one.class_photos for one in uploads),
            captions=sum(one.captions for one in uploads),
            bytes=sum(one.bytes for one in uploads),
            destination=place[0],
            expiry=place[1],
        )
        count = len(self.rows)
        avatars = "1 avatar" if count == 1 else f"{count} avatars"
        return [f"{avatars}, {min(self.parallel, count)} at a time.", *whole.lines()]

    def forecasts(self) -> list[Forecast]:
        """Return time and price of each row's job; AWS is asked for the prices, as when it starts.

        Raises ConfigError for jobs of this machine, and for a budget that cannot be kept.
        """
        return [
            self.client.backend.with_options(
                **{name: row.options[name] for name in OPTIONS & row.options.keys()}
            ).forecast(row.config, ask=True)
            for row in self.rows
        ]

    def run(
        self,
        out: Path,
        *,
        confirmed: bool = False,
        show: AbstractContextManager[OnChange] | None = None,
    ) -> BatchReport:
        """Run every row and return the report, which is written to `out`, too.

        `confirmed`: the user was asked, and the photos may be uploaded. `show` is told of every
        change. A row that fails is in the report, and no error. Raises TrainingStopped on Ctrl-C,
        with the report written.
        """
        make_writable(out)
        running = Running(self.client, self.rows, out, parallel=self.parallel, confirmed=confirmed)
        report = BatchReport(tuple(running.outcomes), out)
        try:
            with show or display(running.outcomes) as on_change:
                running.on_change = on_change
                running.run()
        finally:
            report.save()
        return report


def make_batch(
    client: Client, file: str | Path, *, parallel: int | None = None, **defaults: Any
) -> Batch:
    """Read a file and check every row. Raises ConfigError with all that has to change."""
    if parallel is None:
        parallel = _PARALLEL[client.backend.name]
    if isinstance(parallel, bool) or not 1 <= parallel <= _MOST_PARALLEL:
        raise ConfigError(f"batch: parallel = {parallel}: 1 to {_MOST_PARALLEL} at a time.")
    path = Path(file).expanduser()
    with checking() as on_row:
        rows = check_file(client, path, defaults, on_row)
    return Batch(client, path, tuple(rows), parallel)


def run_batch(
    client: Client,
    file: str | Path,
    out: str | Path = "batch",
    *,
    parallel: int | None = None,
    **defaults: Any,
) -> BatchReport:
    """Train an avatar for each row of a file, a job each that draws its gallery at its end, and
    bring the galleries to `out/SUBJECT/STYLE/`.

    Args:
        file: CSV or YAML with the columns subject and photos (relative to the file); kind, styles,
            count, prompt, negative_prompt, quality; and any field of TrainingConfig and of
            SagemakerOptions.
        out: gets the images and report.json, report.csv, report.html.
        parallel: how many at a time; 4 on SageMaker, 1 on this machine.
        defaults: columns for the rows that say nothing of them: base="mini", spot=True.

    Every row is checked first: ConfigError tells everything that is wrong, and nothing is started.
    The same call is the same jobs: it finds what is finished, follows what runs, and starts what
    failed or was interrupted again. Ctrl-C leaves jobs on AWS running and raises TrainingStopped.
    """
    batch = make_batch(client, file, parallel=parallel, **defaults)
    for line in batch.upload_lines():
        print(line, file=sys.stderr)
    return batch.run(Path(out).expanduser())
