"""TensorBoard: event files in `tensorboard/` of the job's output, through tensorboardX."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lensa.contract import TrainingConfig
from training_entrypoint.tracking.public import public
from training_entrypoint.tracking.sink import Picture, loaded


def open_writer(
    config: TrainingConfig, folder: Path, say: Callable[[str], None]
) -> TensorboardWriter:
    """Return a writer of one event file, which begins anew: of a container before, this one is told
    all of it again."""
    from tensorboardX import SummaryWriter

    target = folder / "tensorboard"
    shutil.rmtree(target, ignore_errors=True)
    writer = SummaryWriter(str(target))
    settings = json.dumps(public(config), indent=2)
    writer.add_text("configuration", f"```\n{settings}\n```", 0)
    return TensorboardWriter(writer)


class TensorboardWriter:
    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._step = 0

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._step = step

    def pictures(self, step: int, pictures: Sequence[Picture]) -> None:
        import numpy as np

        for picture, image in loaded(pictures):
            self._writer.add_image(picture.key, np.asarray(image), step, dataformats="HWC")
        self._step = step

    def summary(self, facts: Mapping[str, str | float]) -> None:
        lines = [f"{name}: {value}" for name, value in facts.items()]
        self._writer.add_text("avatar", "  \n".join(lines), self._step)

    def close(self, exit_code: int) -> None:
        self._writer.close()
