"""Validation images: what the model makes of fixed prompts and seeds, step after step."""

from __future__ import annotations

from typing import Any

from PIL import Image

from inference_entrypoint.generate import generate
from lensa.contract import GenerationRequest, Layout, TrainingConfig
from training_entrypoint.report import Report
from training_entrypoint.tracking import Tracker


def sample_requests(config: TrainingConfig) -> list[GenerationRequest]:
    """Return one request a validation prompt: the same ones at every step and after export."""
    return [
        GenerationRequest(
            prompt=config.fill(prompt),
            seed=config.seed,
            width=config.resolution,
            height=config.resolution,
        ).suited_to(config.base)
        for prompt in config.validation_prompts
    ]


class Validation:
    """Draws with the live model, to disk and to the tracker."""

    def __init__(
        self, config: TrainingConfig, layout: Layout, report: Report, tracker: Tracker
    ) -> None:
        self.config, self.layout, self.report, self.tracker = config, layout, report, tracker

    def draw(self, pipeline: Any, step: int) -> None:
        if not self.config.validation_prompts:
            return
        self.report.stage("validating", f"step {step}")
        shown: list[tuple[str, Image.Image]] = []
        for request in sample_requests(self.config):
            result = generate(
                pipeline,
                request,
                subject=self.config.subject,
                class_noun=self.config.class_noun,
            )
            shown.append((result.prompts[0], result.images[0]))
        folder = self.layout.output / "validation" / f"step-{step:06d}"
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for index, (_, image) in enumerate(shown):
            path = folder / f"{index}.png"
            image.save(path)
            paths.append(str(path.relative_to(self.layout.output)))
        self.tracker.images(step, shown)
        self.report.validation(step, paths)
