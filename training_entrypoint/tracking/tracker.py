"""What the training tells its figures and pictures to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from lensa.contract import MANIFEST, AvatarManifest, Layout, TrainingConfig
from lensa.contract.measures import CHART_FILE
from training_entrypoint.drawn import drawn_at
from training_entrypoint.tracking.background import Background
from training_entrypoint.tracking.journal import JOURNAL, Journal
from training_entrypoint.tracking.sink import Picture, Sink

# What the last of an upload may take: of a job that is done, and of one that is stopped or failed.
CLOSING_SECONDS, LEAVING_SECONDS = 60.0, 20.0


class Tracker:
    """Keeps figures in the journal, and hands them on to a sink, if there is one.

    No step is told twice and none goes backwards, however often a training is resumed.
    """

    def __init__(
        self,
        config: TrainingConfig,
        layout: Layout,
        journal: Journal,
        sink: Background | None,
        resumed: int | None,
        say: Callable[[str], None],
    ) -> None:
        self.journal = journal
        self._config, self._layout, self._sink, self._say = config, layout, sink, say
        self._step = -1  # the highest that the sink was told
        if sink is not None and resumed is not None:
            self._replay(sink, resumed)

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """Tell figures of a step, by their names."""
        self.journal.add(step, values)
        self._tell(step, lambda sink: sink.metrics(step, values))

    def images(self, step: int, images: list[tuple[str, Image.Image]]) -> None:
        """Tell the validation images of a step, (prompt, image), in the prompts' order."""
        shown = self._pictures([image for _, image in images])
        self._tell(step, lambda sink: sink.pictures(step, shown))

    def finished(self, folder: Path) -> None:
        """Tell what came out, an avatar's folder: the chart, samples, gallery, and the digest of
        `avatar.json`, which holds that of every other file."""
        try:
            listed = (folder / MANIFEST).read_bytes()
        except OSError:  # whoever reads the avatar will say so
            return
        manifest = AvatarManifest.model_validate_json(listed)
        step = max(self._step, manifest.steps_trained)
        pictures = _of_the_avatar(folder, manifest.config)
        facts = _facts(manifest) | {"artifact_sha256": hashlib.sha256(listed).hexdigest()}

        def tell(sink: Sink) -> None:
            sink.pictures(step, pictures)
            sink.summary(facts)

        self._tell(step, tell)

    def finish(self, exit_code: int) -> None:
        """End the run. Waits for a server no longer than is said above."""
        if self._sink is None:
            return
        seconds = CLOSING_SECONDS if exit_code == 0 else LEAVING_SECONDS
        ended = self._sink.close(exit_code, seconds)
        self._hear()
        if not ended:
            self._say(
                f"{self._sink.name} has not taken everything in {seconds:.0f} s, and is waited for "
                "no longer: what was told lies in the job's output."
            )
        self._sink = None

    def back_to(self, step: int) -> None:
        """Say that the training goes on from a step: what lay behind it counts no more."""
        self.journal.back_to(step)

    def _tell(self, step: int, call: Callable[[Sink], None]) -> None:
        if self._sink is None or step < self._step:  # tried again, after a loss that ran away
            return
        self._step = step
        self._sink.call(call)
        self._hear()

    def _hear(self) -> None:
        for notice in self._sink.notices() if self._sink is not None else []:
            self._say(notice)

    def _pictures(self, images: Sequence[Image.Image | Path]) -> list[Picture]:
        prompts = self._config.validation_prompts
        return [
            Picture(f"validation/{_key(number, prompt)}", prompt, image)
            for number, (prompt, image) in enumerate(zip(prompts, images, strict=False))
        ]

    def _replay(self, sink: Background, resumed: int) -> None:
        """Tell a sink what others were told before the training was interrupted."""
        drawn = drawn_at(self._layout.validation)
        drawn = {step: files for step, files in drawn.items() if step <= resumed}
        told: dict[int, dict[str, float]] = {}
        for line in self.journal.lines:
            told.setdefault(line.step, {}).update(line.values)
        for step in sorted({*told, *drawn}):
            if step in told:
                sink.call(partial(_tell_kept, step=step, values=told[step]))
            if step in drawn:
                pictures = self._pictures(drawn[step])
                sink.call(partial(_show_kept, step=step, pictures=pictures))
            self._step = step


def _tell_kept(sink: Sink, step: int, values: dict[str, float]) -> None:
    sink.metrics(step, values)


def _show_kept(sink: Sink, step: int, pictures: list[Picture]) -> None:
    kept = [picture for picture in pictures if Path(str(picture.image)).is_file()]
    sink.pictures(step, kept)


def _key(number: int, prompt: str) -> str:
    """A name that says what is seen, and is the same at every step."""
    words = re.sub(r"[^a-z0-9]+", "-", prompt.lower()).strip("-")[:48].strip("-")
    return f"{number}-{words}" if words else str(number)


def _of_the_avatar(folder: Path, config: TrainingConfig) -> list[Picture]:
    found = [Picture("chart", "how it went, and the step that was exported", folder / CHART_FILE)]
    for number, prompt in enumerate(config.validation_prompts):
        key = f"samples/{_key(number, prompt)}"
        found.append(Picture(key, prompt, folder / "samples" / f"{number}.png"))
    for item in config.gallery:
        found += [
            Picture(f"gallery/{item.name}/{index}", item.name, folder / item.path(index))
            for index in range(item.count)
        ]
    return [picture for picture in found if Path(str(picture.image)).is_file()]


def _facts(manifest: AvatarManifest) -> dict[str, str | float]:
    facts: dict[str, str | float] = {
        "avatar": manifest.avatar,
        "steps_trained": manifest.steps_trained,
        "base_revision": manifest.base_revision,
        "precision": manifest.precision,
    }
    if manifest.choice is not None:
        facts |= {"exported_step": manifest.choice.step, "choice": manifest.choice.reason}
        if manifest.choice.warning:
            facts["warning"] = manifest.choice.warning
    return facts


def training_of(job: str) -> str:
    """Return a job's name without its attempt: the next one goes on with the same run."""
    return re.sub(r"^(lensa-[0-9a-z]+-[0-9a-f]{8})-\d+$", r"\1", job)


def make_tracker(
    config: TrainingConfig,
    job: str,
    layout: Layout,
    *,
    resumed: int | None = None,
    say: Callable[[str], None] = lambda message: None,
) -> Tracker:
    """Return the tracker that is asked for. `resumed`: the step that the training goes on from;
    None: it begins. `say` is told what the user should know."""
    journal = Journal(layout.checkpoints / JOURNAL, resumed)
    sink: Background | None = None
    if config.tracker == "wandb":
        from training_entrypoint.tracking.weights_and_biases import open_run

        opening = partial(open_run, config, training_of(job), layout.output)
        sink = Background(opening, "Weights & Biases")
    elif config.tracker == "tensorboard":
        from training_entrypoint.tracking.tensorboard import open_writer

        sink = Background(partial(open_writer, config, layout.output), "TensorBoard")
    return Tracker(config, layout, journal, sink, resumed, say)
