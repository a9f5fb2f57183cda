"""Validation: what the model makes of fixed prompts and seeds, and how good that is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from inference_entrypoint.devices import device
from inference_entrypoint.generate import generate
from lensa.contract import GenerationRequest, Layout, Measurement, TrainingConfig
from training_entrypoint.deadline import Deadline
from training_entrypoint.measuring import record
from training_entrypoint.measuring.embedders import Looking, find_embedders
from training_entrypoint.measuring.measure import ASIDES, Drawn, Measure
from training_entrypoint.measuring.probes import Probe, probes_of
from training_entrypoint.report import Report
from training_entrypoint.stopping import StopRequest
from training_entrypoint.tracking import Tracker
from training_entrypoint.watchdog import check_not_black


def sample_requests(config: TrainingConfig) -> list[GenerationRequest]:
    """Return one request a validation prompt, as the finished avatar's samples are drawn."""
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
    """Draws with the live model and measures: to disk, to the log and to the tracker.

    What goes wrong while measuring is said once, and left out: it ends no training.
    """

    def __init__(
        self,
        config: TrainingConfig,
        layout: Layout,
        report: Report,
        tracker: Tracker,
        stop: StopRequest,
        deadline: Deadline,
        class_files: Sequence[Path] = (),
    ) -> None:
        """`class_files` are the class images that FID and KID compare with."""
        self.config, self.layout, self.report, self.tracker = config, layout, report, tracker
        self.stop, self.deadline, self.class_files = stop, deadline, class_files
        self.probes = probes_of(config)
        self._looking: Looking | None = None
        self._measure: Measure | None = None
        self._ready = False  # whether an embedder was looked for
        self._said: set[str] = set()

    def history(self, step: int) -> list[Measurement]:
        """Return what was measured up to a step that the training goes on from. What lies behind it
        is forgotten."""
        return record.keep(self.layout.checkpoints, step)

    def draw(self, pipeline: Any, step: int, *, measure: bool = True) -> Measurement | None:
        """Draw an image a probe and measure them; None if nothing can be, or is to be measured.

        Raises Stopped as soon as a stop is requested, TrainingError if all of the subject's images
        are black.
        """
        if not self.probes:
            return None
        self.report.stage("validating", f"step {step}")
        begun = time.monotonic()
        with self.deadline.measuring("drawing"):
            drawn = [
                (probe, self._image(pipeline, probe))
                for probe in self.probes
                if step == 0 or not probe.once
            ]
        shown = [image for probe, image in drawn if probe.role == "subject"]
        check_not_black(shown, f"drawn at step {step}")
        paths = self._save(step, drawn)
        with self.deadline.measuring("measuring"):
            measured = self._measured(step, drawn) if measure else None
        if measured is not None:
            seconds = round(time.monotonic() - begun, 3)
            measured = measured.model_copy(update={"images": tuple(paths), "seconds": seconds})
            self._keep(measured)
        prompts = [probe.request.prompt for probe, _ in drawn if probe.role == "subject"]
        self.tracker.images(step, list(zip(prompts, shown, strict=True)))
        self.report.validation(step, paths, measured)
        return measured

    def _image(self, pipeline: Any, probe: Probe) -> Image.Image:
        result = generate(
            pipeline,
            probe.request,
            subject=self.config.subject,
            class_noun=self.config.class_noun,
            others=self.config.concepts,
            style=self.config.kind == "style",
            on_step=self.stop.check,
        )
        return result.images[0]

    def _save(self, step: int, drawn: Drawn) -> list[str]:
        """Write the images; return the subject's, as paths below the checkpoints."""
        folder = self._folder(step)
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for probe, image in drawn:
            path = folder / f"{probe.name}.png"
            partial = path.with_suffix(".partial")
            image.save(partial, format="PNG")
            partial.rename(path)  # it may be on its way to S3 at once
            if probe.role == "subject":
                paths.append(path.relative_to(self.layout.checkpoints).as_posix())
        return paths

    def _measured(self, step: int, drawn: Drawn) -> Measurement | None:
        try:
            with _exactly():
                measure = self._begin(step)
                measured = None if measure is None else measure.measure(step, drawn)
        except Exception as error:  # whatever a library comes up with
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            self._say(f"the validation images cannot be measured: {first}")
            return None
        for note in measured.notes if measured is not None else ():
            if note not in ASIDES:
                self._say(f"validation: {note}.")
        return measured

    def decides(self) -> bool:
        """Whether a step may be chosen by what is measured. Loads the embedder."""
        return self._found().decides

    def _found(self) -> Looking:
        """Return who looks at the images, looked for once."""
        if self._looking is None:
            base = self.layout.base if self.layout.base.is_dir() else None
            with self.stop.at_once():
                self._looking = find_embedders(self.config, base)
            for note in self._looking.notes:
                self._say(note)
        return self._looking

    def _begin(self, step: int) -> Measure | None:
        """Return what measures, made once; None if no embedder can be had."""
        if self._ready:
            return self._measure
        self._ready = True
        looking = self._found()
        with self.stop.at_once():
            if looking.images is not None:
                measure = Measure(self.config, self.layout, looking, self.class_files)
                if measure.blind and looking.texts is not None:
                    name = looking.texts.name
                    self._say(f"no photo shows a face: likeness is measured by {name} instead.")
                    looking = replace(looking, images=looking.texts)
                    measure = Measure(self.config, self.layout, looking, self.class_files)
                if step > 0 and (drawn := self._of_step_0()):  # another process drew them
                    measure.refer(drawn)
                self._measure = measure
        return self._measure

    def _of_step_0(self) -> Drawn:
        """Return what the base drew, as far as a training before this one has left it whole."""
        found = []
        for probe in self.probes:
            path = self._folder(0) / f"{probe.name}.png"
            try:
                found.append((probe, _opened(path)))
            except FileNotFoundError:
                continue
            except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises
                self._say(f"validation: {path.name} of step 0 cannot be read: {error}")
        return found

    def _keep(self, measured: Measurement) -> None:
        try:
            record.add(self.layout.checkpoints, measured)
        except OSError as error:
            self._say(f"the measurement at step {measured.step} cannot be kept: {error}")
        self.tracker.metrics(measured.step, numbers(measured))

    def _folder(self, step: int) -> Path:
        return self.layout.validation / f"step-{step:06d}"

    def _say(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            self.report.notice(message)


def numbers(measured: Measurement) -> dict[str, float]:
    """Return a measurement's figures by the names that trackers know them by."""
    dump = measured.model_dump(exclude={"step", "embedder", "images", "notes"})
    found: dict[str, float] = {}
    for name, value in dump.items():
        for part, number in value.items() if isinstance(value, dict) else [("value", value)]:
            if number is not None:
                found[f"validation/{name}" + ("" if part == "value" else f"_{part}")] = number
    if measured.likeness_share is not None:
        found["validation/likeness_share"] = measured.likeness_share
    return found


@contextmanager
def _exactly() -> Iterator[None]:
    """The training's precision is not that of a cosine: bf16 knows a hundredth at best."""
    with torch.autocast("cpu", enabled=False), torch.autocast(device().type, enabled=False):
        yield


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as file:
        return file.convert("RGB")
