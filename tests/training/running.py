"""A training job inside the test's own process: the same `run` that the container calls."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerate.state import AcceleratorState
from conftest import TINY, write_photos
from safetensors.torch import load_file
from torch import Tensor

from lensa.contract import BASES, AvatarManifest, Layout, TrainingConfig, preset
from lensa.contract.names import digest
from training_entrypoint.deadline import Deadline
from training_entrypoint.job import job_id, run
from training_entrypoint.report import Report
from training_entrypoint.stopping import StopRequest


def tiny_config(**changes: Any) -> TrainingConfig:
    recipe = preset("person", changes.get("method", "lora"), BASES["micro"])
    own = {key: value for key, value in TINY.items() if key != "base"}
    # A random model's images say nothing of when to stop.
    quiet = {"validation_every": 0, "checkpoint_every": 0, "early_stopping": "off"}
    quiet |= {"subject_id": "7k2m0000"}
    return TrainingConfig(**{**recipe, **own, **quiet, "batch_size": 1, **changes})


@dataclass
class Job:
    """A job's folder, and what it said."""

    layout: Layout
    config: TrainingConfig
    lines: list[str] = field(default_factory=list)
    stop_when: Callable[[dict[str, Any]], bool] | None = None  # asked with each event
    limit: float | None = None  # seconds that the job may run
    takes: Callable[[dict[str, Any]], float] | None = None  # seconds that pass with each event
    clock: float = 0.0

    def run(self) -> int:
        stop = StopRequest()
        deadline = Deadline(
            self.limit, self.layout.checkpoints, job_id(self.config), clock=lambda: self.clock
        )
        AcceleratorState._reset_state(reset_partial_state=True)  # one process runs many jobs here

        def hear(line: str) -> None:
            self.lines.append(line)
            event = json.loads(line)
            self.clock += self.takes(event) if self.takes is not None else 0
            if self.stop_when is not None and self.stop_when(event):
                stop.requested = True

        return run(self.config, self.layout, Report(hear), stop, deadline)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for line in self.lines if (event := json.loads(line))["event"] == kind]

    @property
    def manifest(self) -> AvatarManifest:
        return AvatarManifest.model_validate_json((self.layout.model / "avatar.json").read_bytes())

    def weights(self) -> dict[str, Tensor]:
        """Every tensor of the finished avatar."""
        return {
            f"{path.parent.name}/{name}": tensor
            for path in sorted(self.layout.model.rglob("*.safetensors"))
            for name, tensor in load_file(path).items()
        }


def reached(step: int) -> Callable[[dict[str, Any]], bool]:
    """The event that says a training has come to a step."""
    return lambda event: event.get("stage") == "training" and event.get("step", -1) >= step


def make_job(folder: Path, photos: int = 4, **changes: Any) -> Job:
    config = tiny_config(**changes)
    layout = Layout(folder / digest(config.model_dump(mode="json"))[:8])
    shutil.rmtree(layout.root, ignore_errors=True)
    write_photos(layout.photos, photos, side=config.resolution)
    return Job(layout, config)
