"""The experiment tracker: Weights & Biases, online with a key and a real offline run without."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

from lensa.contract import TrainingConfig


class Tracker:
    """Takes metrics and images by step. This one, for `tracker="none"`, forgets them."""

    def metrics(self, step: int, values: dict[str, float]) -> None:
        pass

    def images(self, step: int, images: list[tuple[str, Image.Image]]) -> None:
        pass

    def finish(self, exit_code: int) -> None:
        pass


class WandbTracker(Tracker):
    """Logs to Weights & Biases. The run goes by the job's id, never by the subject's name."""

    def __init__(self, config: TrainingConfig, job: str, folder: Path) -> None:
        import wandb  # late: a second that `tracker="none"` does not pay

        folder.mkdir(parents=True, exist_ok=True)
        self._wandb = wandb
        self._run = wandb.init(
            project=config.project,
            name=job,
            id=job,
            resume="allow",
            dir=str(folder),
            mode="online" if os.environ.get("WANDB_API_KEY") else "offline",
            config=config.model_dump(mode="json"),
            # Our own stdout is the job's log; host name and command line are nobody's business.
            settings=wandb.Settings(
                console="off", silent=True, disable_git=True, x_disable_meta=True
            ),
        )

    def metrics(self, step: int, values: dict[str, float]) -> None:
        self._run.log(values, step=step)

    def images(self, step: int, images: list[tuple[str, Image.Image]]) -> None:
        shown = [self._wandb.Image(image, caption=prompt) for prompt, image in images]
        self._run.log({"validation": shown}, step=step)

    def finish(self, exit_code: int) -> None:
        self._run.finish(exit_code=exit_code)


def make_tracker(config: TrainingConfig, job: str, folder: Path) -> Tracker:
    return WandbTracker(config, job, folder) if config.tracker == "wandb" else Tracker()
