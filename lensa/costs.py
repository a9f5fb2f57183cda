"""What a training costs: prices in US dollars an hour, and a forecast from them.

The tables are of us-east-1, on demand: good enough to decide by where AWS's price list may not be
asked, or nothing may be asked at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from lensa.contract import TrainingConfig

PRICES_DATE = "2026-11"  # when the tables were written down
PRICES_REGION = "us-east-1"

TRAINING_PRICES = {
    "ml.g4dn.xlarge": 0.736,
    "ml.g4dn.2xlarge": 0.94,
    "ml.g5.xlarge": 1.408,
    "ml.g5.2xlarge": 1.515,
    "ml.g6.2xlarge": 1.222,
}

HOSTING_PRICES = {
    "ml.g4dn.xlarge": 0.736,
    "ml.g4dn.2xlarge": 0.94,
    "ml.g5.xlarge": 1.408,
    "ml.g5.2xlarge": 1.515,
    "ml.g6.2xlarge": 1.222,
}

_START_SECONDS = 240  # an instance, its image, the requirements
_EXPORT_SECONDS = 60

# Seconds per image and step at 512 px, batch 1. Rules of thumb for Stable Diffusion 1.x, from
# published runs, never measured by us: they bracket a decision, no more.
_TRAINING_STEP = {"g4dn": 1.4, "g5": 0.55, "g6": 0.6}
_SAMPLING_STEP = {"g4dn": 0.2, "g5": 0.08, "g6": 0.085}
_OTHER = 0.6


@dataclass(frozen=True)
class Forecast:
    """Time and price of a training before it starts."""

    instance_type: str
    seconds: dict[str, float]  # by phase
    hourly: float | None  # dollars; None if the price is not known
    most_seconds: int  # the platform ends the job then
    source: str = ""  # of the price, in words, where it was asked for
    stops_early: bool = False  # `seconds` are for all steps, and it may need fewer

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds.values())

    @property
    def dollars(self) -> float | None:
        return price(self.total_seconds, self.hourly)

    @property
    def most_dollars(self) -> float | None:
        """What it costs if it runs to its limit."""
        return price(self.most_seconds, self.hourly)

    def words(self, source: str) -> str:
        """Say it in a line. `source` tells whose price it is."""
        machine = f"{self.instance_type} on demand"
        about, most = span(self.total_seconds), span(self.most_seconds)
        less = " for all steps, less where it stops early" if self.stops_early else ""
        if self.hourly is None:
            return f"about {about}{less}, at most {most} ({machine}: its price is not known)"
        return (
            f"about {about} and ${self.dollars:.2f}{less}, at most {most} and "
            f"${self.most_dollars:.2f} ({machine}: ${self.hourly:g} an hour, {source})"
        )


def span(seconds: float) -> str:
    """Return a length of time as people say it: "25 minutes", "4 hours", "3 days"."""
    for unit, name in ((86_400, "day"), (3600, "hour")):
        if seconds >= 2 * unit or seconds == unit:
            count = f"{round(seconds / unit, 1):g}"
            return f"{count} {name}" + ("" if count == "1" else "s")
    minutes = max(1, round(seconds / 60))
    return f"{minutes} minute" + ("" if minutes == 1 else "s")


def price(seconds: float, hourly: float | None) -> float | None:
    """Return dollars for so many seconds."""
    return None if hourly is None else round(seconds / 3600 * hourly, 4)


def forecast(
    config: TrainingConfig, instance_type: str, hourly: float | None, most_seconds: int
) -> Forecast:
    """Estimate a training by the rules of thumb above."""
    family = instance_type.split(".")[1]
    scale = (config.resolution / 512) ** 2
    images = config.steps * config.batch_size * config.gradient_accumulation
    passes = images * (2 if config.prior_preservation else 1)
    training = passes * _TRAINING_STEP.get(family, _OTHER) * scale
    if config.train_text_encoder:
        training *= 1.25
    if config.gradient_checkpointing or config.memory == "lean":
        training *= 1.3
    sampling = _SAMPLING_STEP.get(family, _OTHER / 7) * scale
    drawn = len(config.drawn_classes()) * config.class_images
    classes = drawn * config.class_image_steps * sampling
    prompts, steps = len(config.validation_prompts), config.base.sampling_steps
    looked_at = config.validation_every != 0 and prompts > 0
    if config.validation_every is None:  # as often as a tenth of it all allows
        validating = (classes + training) / 9 if looked_at else 0.0
    else:
        rounds = 2 + config.steps // config.validation_every if config.validation_every else 1
        validating = rounds * prompts * (config.validation_steps or steps) * sampling
    seconds = {
        "starting": float(_START_SECONDS),
        "class_images": classes,
        "training": training,
        "validating": validating,
        "exporting": _EXPORT_SECONDS + prompts * steps * sampling,
    }
    if config.gallery:
        seconds["gallery"] = sampling * sum(
            item.count * (item.steps or steps) for item in config.gallery
        )
    return Forecast(
        instance_type,
        {phase: round(value, 1) for phase, value in seconds.items()},
        hourly,
        most_seconds,
        stops_early=looked_at and config.early_stopping != "off",
    )
