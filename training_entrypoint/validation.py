"""Validation images: what the model makes of fixed prompts and seeds, step after step."""

from __future__ import annotations

from typing import Any

from PIL import Image

from inference_entrypoint.generate import generate
from lensa.contract import GenerationRequest, Layout, TrainingConfig
from training_entrypoint.deadline import Deadline
from training_entrypoint.report import Report
from training_entrypoint.stopping import StopRequest
from training_entrypoint.tracking import Tracker
from training_entrypoint.watchdog import check_not_black


def sample_requests(config: TrainingConfig) -> list[GenerationRequest]:
    """Return one request a validation prompt: the same ones at every step and after export."""
    return [
        GenerationRequest(
            prompt=config.fill(prompt),
            seed=config.seed,
            width=config.resolution,
            height=config.resolution,
            safety=False,  # the user's own; a checker that cannot be had must not cost a training
        ).suited_to(config.base)
        for prompt in config.validation_prompts
    ]


class Validation:
    """Draws with the live model, to disk and to the tracker."""

    def __init__(
        self,
        config: TrainingConfig,
        layout: Layout,
        report: Report,
        tracker: Tracker,
        stop: StopRequest,
        deadline: Deadline,
    ) -> None:
        self.config, self.layout, self.report, self.tracker = config, layout, report, tracker
        self.stop, self.deadline = stop, deadline

    def draw(self, pipeline: Any, step: int) -> None:
        """Draw one image a prompt. Raises Stopped as soon as a stop is requested, TrainingError if
        all of them are black."""
        if not self.config.validation_prompts:
            return
        self.report.stage("validating", f"step {step}")
        shown: list[tuple[str, Image.Image]] = []
        with self.deadline.measuring("drawing"):
            for request in sample_requests(self.config):
                result = generate(
                    pipeline,
                    request,
                    subject=self.config.subject,
                    class_noun=self.config.class_noun,
                    others=self.config.concepts,
                    style=self.config.kind == "style",
                    on_step=self.stop.check,
                )
                shown.append((result.prompts[0], result.images[0]))
        check_not_black([image for _, image in shown], f"drawn at step {step}")
        folder = self.layout.validation / f"step-{step:06d}"
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for index, (_, image) in enumerate(shown):
            path = folder / f"{index}.png"
            partial = path.with_suffix(".partial")
            image.save(partial, format="PNG")
            partial.rename(path)  # it may be on its way to S3 at once
            paths.append(path.relative_to(self.layout.checkpoints).as_posix())
        self.tracker.images(step, shown)
        self.report.validation(step, paths)
