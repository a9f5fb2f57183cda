"""The time that the job may take: it exports what it has before the platform ends it.

The limit is of the job, not of one container: the time before a spot interruption is read from
`elapsed.json` in the checkpoint folder.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

from lensa.contract.environment import MAX_RUNTIME
from lensa.errors import ConfigError

MARGIN = 60.0  # seconds: a last checkpoint, moving files, and the container's own end
RESTART = 120.0  # seconds: pulling the image and downloading again, which no container sees

Work = Literal["loading", "drawing", "measuring"]


class Deadline:
    """Seconds used and left. Without a limit it never comes, and nothing is written."""

    def __init__(
        self,
        limit: float | None,
        folder: Path,
        job: str,
        *,
        started: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`started` is the container's start by `clock`; `folder` that of the checkpoints."""
        self.limit = limit
        self._file, self._job, self._clock = folder / "elapsed.json", job, clock
        self._started = clock() if started is None else started
        self._took: dict[Work, float] = dict.fromkeys(get_args(Work), 0.0)
        self._before = 0.0
        self.longer = 1.0  # times: the samples than validation images, which have fewer steps
        if limit is not None:
            self._read()

    @classmethod
    def of_environment(
        cls,
        folder: Path,
        job: str,
        started: float | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> Deadline:
        """Return the deadline of $LENSA_MAX_RUNTIME; ConfigError if that is no time."""
        text = environ.get(MAX_RUNTIME)
        try:
            limit = float(text) if text else None
        except ValueError:
            limit = math.nan
        if limit is not None and not 0 < limit < math.inf:
            raise ConfigError(f"{MAX_RUNTIME} is {text!r}: give a number of seconds above 0.")
        return cls(limit, folder, job, started=started)

    def spent(self) -> float:
        """Seconds since the job's first start, without the time between its containers."""
        return self._before + self._clock() - self._started

    def reserve(self) -> float:
        """Seconds that exporting is taken to need. It loads the base again and draws what was drawn
        to validate, in all steps; twice that time, for a disk or a hub that has become slower."""
        return 2 * (self._took["loading"] + self.longer * self._took["drawing"]) + MARGIN

    def near(self) -> bool:
        """Whether what is left is needed to export."""
        return self.limit is not None and self.limit - self.spent() < self.reserve()

    def allows_drawing(self) -> bool:
        """Whether images can be drawn and measured, and all be exported behind that."""
        if self.limit is None:
            return True
        validation = self._took["drawing"] + self._took["measuring"]
        return self.limit - self.spent() >= self.reserve() + validation

    def leaves(self, seconds: float) -> bool:
        """Whether there is time for so much more work, and for the job's end behind it."""
        return self.limit is None or self.limit - self.spent() > seconds + MARGIN

    def check_begun(self, what: str) -> None:
        """Raise ConfigError if the time is over before a step was trained: an avatar that has
        learned nothing is worth less than the reason."""
        if self.near():
            raise ConfigError(
                f"the job may run for {self.limit:.0f} s. {self.spent():.0f} s are spent {what}, "
                f"exporting needs {self.reserve():.0f} s: nothing is left to train in. Allow more "
                "time or a larger budget, or ask for fewer class images and validation prompts."
            )

    @contextmanager
    def measuring(self, work: Work) -> Iterator[None]:
        """Note how long it takes; the longest time counts."""
        begun = self._clock()
        yield
        self._took[work] = max(self._took[work], self._clock() - begun)

    def took(self, work: Work) -> float:
        """The longest time in seconds that it took so far; 0 if it was not done."""
        return self._took[work]

    def note(self) -> None:
        """Write down what was spent, for the container that goes on from here."""
        if self.limit is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_suffix(".partial")
        state = {"job": self._job, "seconds": self.spent(), "drawing": self._took["drawing"]}
        partial.write_text(json.dumps(state))
        partial.replace(self._file)

    def _read(self) -> None:
        """A resumed training does not draw the first validation images again: how long they took
        is read too. Another job's time is not ours, though it may have left the checkpoints."""
        try:
            state = json.loads(self._file.read_text())
            if state["job"] == self._job:
                self._before = float(state["seconds"]) + RESTART
                self._took["drawing"] = float(state["drawing"])
        except (OSError, ValueError, KeyError, TypeError):
            return
