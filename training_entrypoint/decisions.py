"""What a training decided for itself on the way, kept beside its checkpoints.

A training that goes on after an interruption must go on as it was: leaner, if the memory was full
once, or with the lower rate that it took after its loss ran away.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lensa.contract import TrainingConfig
from lensa.contract.names import digest
from lensa.errors import TrainingError
from training_entrypoint.checkpoints import to_disk
from training_entrypoint.memory import Kind, Plan, make_plan, out_of_memory
from training_entrypoint.report import Report
from training_entrypoint.watchdog import Diverged

SLOWER = 0.25  # of the learning rate, after a loss that ran away

_FILE = "decisions.json"


@dataclass(frozen=True)
class Decisions:
    """`memory` is what "auto" became; None: not decided yet. `drawn` is what the class images took,
    in passes of the UNet: how often is validated follows from it."""

    memory: Kind | None = None
    drawn: int = 0
    leaner: bool = False  # the memory was full once
    slower: bool = False  # the loss ran away once

    @property
    def rate(self) -> float:
        """The factor of the learning rate."""
        return SLOWER if self.slower else 1.0

    def plan(self, config: TrainingConfig, *, gpu: bool) -> Plan:
        plan = make_plan(config, self.memory or "normal", gpu=gpu)
        return (plan.leaner() or plan) if self.leaner else plan

    def after(self, error: Exception, plan: Plan, report: Report) -> Decisions:
        """Return the decisions with which the training is tried again from its last checkpoint.

        Raises the error itself if there is nothing to be done, TrainingError if the loss ran away
        for the second time.
        """
        if isinstance(error, Diverged):
            if self.slower:
                raise TrainingError(
                    f"{error}, again, with a quarter of the learning rate: lower learning_rate "
                    f"(it was {plan.config.learning_rate:g} at first), use precision bf16 or fp32, "
                    "or look for a photo unlike the others."
                ) from error
            report.notice(f"{error}: back to the last good checkpoint, with a quarter of the rate.")
            return replace(self, slower=True)
        full, leaner = out_of_memory(error), plan.leaner()
        if full is None or leaner is None or self.leaner:
            raise error
        report.notice(
            f"the memory of the {full} is full: once more from the last checkpoint, leaner: "
            f"{leaner.words()}. The avatar is the same, the training slower."
        )
        return replace(self, leaner=True)

    def write(self, folder: Path, config: TrainingConfig) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{_FILE}.partial"
        partial.write_text(json.dumps({"config": digest(config.identity()), **asdict(self)}))
        to_disk(partial)
        partial.replace(folder / _FILE)


def read_decisions(folder: Path, config: TrainingConfig) -> Decisions:
    """Return what this very training has decided before; nothing, if it is another one's."""
    try:
        state: dict[str, Any] = json.loads((folder / _FILE).read_text())
        return (
            Decisions(**state) if state.pop("config") == digest(config.identity()) else Decisions()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return Decisions()


def forget(folder: Path) -> None:
    (folder / _FILE).unlink(missing_ok=True)
