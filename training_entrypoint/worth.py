"""What one validation is worth, alone and beside another: see `stopping_rule`."""

from __future__ import annotations

from collections.abc import Sequence

from lensa.contract import Measurement, TrainingConfig

GAIN = 0.04  # of the way from floor to ceiling: what is less can be the noise of a few images
RISE = 0.2  # of that way: below it nothing is learned yet
REACHED = 1.0  # of it: more than this the photos cannot tell
NO_WAY = 0.02  # a cosine: a ceiling that is no farther above its floor says nothing
GAIN_ALONE, RISE_ALONE = 0.01, 0.03  # in cosines, where the way is not known
GAIN_OF_FID = 0.02  # of the best one's
GAIN_OF_RETENTION = 0.02
MEMORISED = 4.0  # times nearer to a photo than the photos are: twice is a good likeness


def score(one: Measurement, config: TrainingConfig) -> float | None:
    """What is to be high; None if it was not measured."""
    if config.early_stopping == "fid":
        return None if one.fid is None else -one.fid.value
    return one.likeness


def way_of(one: Measurement) -> float | None:
    """The way in cosines from floor to ceiling; None if it is not known."""
    if one.likeness_floor is None or one.likeness_ceiling is None:
        return None
    way = one.likeness_ceiling - one.likeness_floor
    return way if way > NO_WAY else None


def risen(one: Measurement, history: Sequence[Measurement]) -> bool:
    """Whether the subject is in the images at all."""
    floor = one.likeness_floor if one.likeness_floor is not None else history[0].likeness
    if floor is None or one.likeness is None:
        return True  # nothing speaks against it
    way = way_of(one)
    return one.likeness >= floor + (RISE_ALONE if way is None else RISE * way)


def reached(one: Measurement, config: TrainingConfig) -> bool:
    """Whether there is no more to learn from the photos."""
    share = one.likeness_share
    asked = config.early_stopping == "likeness" and sound(one, config)
    return asked and way_of(one) is not None and share is not None and share >= REACHED


def sound(one: Measurement, config: TrainingConfig) -> bool:
    """Whether prompts are still followed, and no photo comes back."""
    return follows(one, config) and not memorised(one)


def follows(one: Measurement, config: TrainingConfig) -> bool:
    """Whether prompts are still followed."""
    return one.retention is None or one.retention >= config.retention_floor


def memorised(one: Measurement) -> bool:
    """Whether photos come back."""
    return one.memorisation is not None and one.memorisation >= MEMORISED


def better(one: Measurement, top: Measurement, config: TrainingConfig) -> bool:
    """Whether a later validation takes the place of the best one before it."""
    if sound(one, config) != sound(top, config):
        return sound(one, config)
    if not sound(one, config):  # of two that are not, the one that is less so
        return (one.retention or 0.0) > (top.retention or 0.0) + GAIN_OF_RETENTION
    new, old = score(one, config), score(top, config)
    assert new is not None and old is not None  # the rule leaves out what has none
    return new > old + gain(top, config)


def as_good(one: Measurement, peak: Measurement, config: TrainingConfig) -> bool:
    """Whether a later validation is as good as the best one, within the noise. Then the later
    counts: it has learned for longer, and nothing was lost by that."""
    if not (sound(one, config) and sound(peak, config)):
        return False
    new, old = score(one, config), score(peak, config)
    assert new is not None and old is not None  # the same
    return new >= old - gain(peak, config)


def gain(top: Measurement, config: TrainingConfig) -> float:
    """How much more a score has to be for no noise, in its own units."""
    if config.early_stopping == "fid" and top.fid is not None:
        return GAIN_OF_FID * top.fid.value
    way = way_of(top)
    return GAIN_ALONE if way is None else GAIN * way
