"""A training's history of validations, and the weights that it will export.

All of it follows from `metrics.jsonl` and the weights on disk: a training that was killed at any
point selects what it would have selected. A step whose weights were lost (the disk is full; after
an interruption, they had not come to S3 yet) is no candidate any more: a later one can be the best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from safetensors import SafetensorError

from lensa.contract import Choice, Measurement, TrainingConfig
from training_entrypoint.best import Best
from training_entrypoint.report import Report
from training_entrypoint.stopping_rule import Verdict, best, choose, decide
from training_entrypoint.trainable import Trainable


class Selection:
    """Which steps are validated, which one is the best, and when it is enough."""

    def __init__(
        self,
        config: TrainingConfig,
        kept: Best,
        every: int,
        recall: Callable[[int], list[Measurement]],
        undecided: str = "",
    ) -> None:
        """`every`: steps from validation to validation; 0: none on the way. `recall` returns what
        was measured up to a step, and forgets the rest. `undecided`: why nothing that is measured
        may decide; then the last step is exported."""
        if undecided:
            config = config.model_copy(update={"early_stopping": "off"})
        self.config, self.every, self._undecided = config, every, undecided
        self._kept, self._recall = kept, recall
        self._history: list[Measurement] = []
        self._lost: set[int] = set()  # steps whose weights cannot be had
        self._say: Callable[[str], None] = lambda message: None

    def begin(self, step: int, say: Callable[[str], None]) -> None:
        """Go on from a step. What lies behind it is of another try. `say` is told of weights that
        are lost: of the first, for one cause loses many."""
        self._history, self._say = self._recall(step), say
        self._kept.drop_after(step)
        # Those of `step` itself are in memory: `keep` writes them.
        while (top := self._best()) and top.step < step and not self._kept.has(top.step):
            self._lose(top.step, "are damaged, or gone")

    def due(self, step: int) -> bool:
        """Whether a step is still to be measured. The last one is, too."""
        wanted = self.every > 0 and (step % self.every == 0 or step == self.config.steps)
        return wanted and step > 0 and not (self._history and self._history[-1].step == step)

    def take(self, step: int, measured: Measurement | None, trainable: Trainable) -> None:
        """Put a measurement into the history, and keep the weights if they are the best so far."""
        self._history = _until(self._history, step - 1)
        if measured is not None:
            self._history.append(measured)
            self.keep(step, trainable)

    def keep(self, step: int, trainable: Trainable) -> None:
        """Keep the weights of a step if it is the best one, unless they are kept already."""
        top = self._best()
        if top is None or top.step != step or self._kept.has(step):
            return
        try:
            self._kept.keep(step, trainable.state())
        except (OSError, SafetensorError) as error:
            self._lose(step, f"cannot be kept ({error})")

    def drop(self, checkpoints: Sequence[int]) -> None:
        """Drop the weights that are the best neither now nor at one of the checkpoints: a training
        may go back to any of those."""
        there = self._there
        pasts = [there, *(_until(there, step) for step in checkpoints)]
        tops = [best(past, self.config) for past in pasts]
        self._kept.drop_others([top.step for top in tops if top is not None])

    @property
    def validations(self) -> int:
        """How many steps were measured behind the first."""
        return sum(measured.step > 0 for measured in self._history)

    def verdict(self) -> Verdict:
        """Return whether it is enough."""
        return Verdict() if self._nothing_is_left else decide(self._there, self.config)

    def finish(
        self, step: int, report: Report
    ) -> tuple[Choice | None, dict[str, torch.Tensor] | None]:
        """Return which step is exported of a training that ends at `step`, and its weights; None:
        those that are there."""
        if self._nothing_is_left:
            lost = f"the weights of step {min(self._lost)} are gone"
            return choose(self._history, self.config, step, lost), None
        choice = choose(self._there, self.config, step, self._undecided)
        if choice is None or choice.step == step:
            return choice, None
        weights = self._kept.load(choice.step)
        if weights is None:
            lost = f"the weights of step {choice.step} are damaged, or gone"
            report.notice(f"{lost}: the last are exported.")
            choice = choose(self._history, self.config, step, lost)
        return choice, weights

    @property
    def _there(self) -> list[Measurement]:
        """What was measured of steps that can be exported."""
        return [measured for measured in self._history if measured.step not in self._lost]

    @property
    def _nothing_is_left(self) -> bool:
        """Whether all that was learned is lost. What is there then says nothing of the photos."""
        return bool(self._lost) and self._best() is None

    def _best(self) -> Measurement | None:
        return best(self._there, self.config)

    def _lose(self, step: int, why: str) -> None:
        if not self._lost:
            self._say(f"the weights of step {step} {why}: another step is exported.")
        self._lost.add(step)


def _until(history: list[Measurement], step: int) -> list[Measurement]:
    return [measured for measured in history if measured.step <= step]
