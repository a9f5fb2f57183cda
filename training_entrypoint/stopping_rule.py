"""When a training has learned its subject, and which of its steps is exported.

Pure functions of what the validations measured. The rule is the one of early stopping since it has
a name (Prechelt 1998, "Early Stopping - But When?"): a validation is the best one if it gains
clearly on the best before it, and after `patience` validations without gain the training ends.
What it adds: a step counts only where likeness has risen from what the base draws, it gives way
where prompts are no longer followed (`retention_floor`) or photos come back (memorisation), and
images that are as like the photos as these are to each other are enough. Of steps that are as good
as the best one within the noise the latest is exported: it has learned for longest.

The best step of a history depends on no later validation, so that the one set of weights that is
kept beside the checkpoints is the right one at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lensa.contract import Choice, Measurement, TrainingConfig
from training_entrypoint.worth import (
    as_good,
    better,
    follows,
    memorised,
    reached,
    risen,
    score,
    sound,
    way_of,
)

FAR = 0.7  # of the way from floor to ceiling: below it a climb that rests is not called flat
PATIENT = 0.5  # of the steps behind the warm-up: so long likeness may take to rise
CLIMBING = 0.75  # of them: so long a slow climb may take to come that far
_AT_CEILING = "the images are as like the photos as these are to each other"


@dataclass(frozen=True)
class Verdict:
    """What a training does after a validation: it goes on, or stops for a reason."""

    stop: bool = False
    reason: str = ""  # in words


def decide(history: Sequence[Measurement], config: TrainingConfig) -> Verdict:
    """Return whether to stop behind the last validation of `history`, which has them all."""
    config = _judged_by(history, config)
    looked = _measured(history, config)
    if config.early_stopping == "off" or not looked:
        return Verdict()
    top, peak = _top_and_peak(history, config)
    if top is None or peak is None:  # nothing has risen
        differ = _photos_differ(history, config)
        if len(looked) <= config.patience or (_is_early(looked, config) and not differ):
            return Verdict()
        unlike = "the photos are too unlike each other to measure a likeness"
        return Verdict(True, unlike if differ else "likeness does not rise")
    # Not sooner than by patience: a first image can be lucky, and validations take their tenth.
    if reached(top, config) and len(looked) > config.patience:
        return Verdict(True, _AT_CEILING)
    since = [one for one in looked if one.step > peak.step]
    if len(since) < config.patience:
        return Verdict()
    if _is_early(looked, config, CLIMBING) and _climbs(since, peak, config):
        return Verdict()
    return Verdict(True, _why(since, peak, config))


def best(history: Sequence[Measurement], config: TrainingConfig) -> Measurement | None:
    """Return the validation whose step is worth the most so far; None if none is worth more than
    the last one: likeness has not risen, or cannot be measured, or nobody asked."""
    config = _judged_by(history, config)
    return None if config.early_stopping == "off" else _top_and_peak(history, config)[0]


def _top_and_peak(
    history: Sequence[Measurement], config: TrainingConfig
) -> tuple[Measurement | None, Measurement | None]:
    """Return the best validation, and the last one that gained clearly on those before it."""
    top: Measurement | None = None
    peak: Measurement | None = None
    for one in _measured(history, config):
        if not risen(one, history):
            continue
        if peak is None or better(one, peak, config):
            top = peak = one
        elif as_good(one, peak, config):
            top = one
    return top, peak


def choose(
    history: Sequence[Measurement],
    config: TrainingConfig,
    trained: int | None = None,
    lost: str = "",
) -> Choice | None:
    """Return the step to export of a training that has come to step `trained`, with the reason in
    words; None if nothing was measured behind step 0. `lost`: why there is no best one."""
    config = _judged_by(history, config)
    looked = [one for one in history if one.step > 0]
    if not looked:
        return None
    trained = looked[-1].step if trained is None else trained
    off = config.early_stopping == "off"
    why = lost or ("early_stopping is off" if off else "no step is better")
    top = best(history, config)
    if top is not None and (lost or _is_outrun(top, trained, history, config)):
        top, why = None, lost or f"nothing could be measured behind step {top.step}"
    if top is not None:
        reason = ", ".join(filter(None, [_figures(top), _end(top, trained, history, config)]))
        step = top.step
    else:
        last = looked[-1]
        at = "" if last.step == trained else f" (at step {last.step})"
        reason, step = f"the last one, since {why}; {_figures(last)}{at}", trained
    return Choice(
        step=step,
        trained=trained,
        of=config.steps,
        stopped=trained < config.steps and decide(history, config).stop,
        reason=f"step {step} of {config.steps}: {reason}",
        warning=" ".join(filter(None, [_warning(history, config, top), _others(history)])) or None,
    )


def _measured(history: Sequence[Measurement], config: TrainingConfig) -> list[Measurement]:
    """Return the validations behind step 0 that can be compared: of one embedder, which a resumed
    training may no longer have."""
    same = [one for one in history if one.embedder == history[0].embedder]
    return [one for one in same if one.step > 0 and score(one, config) is not None]


def _judged_by(history: Sequence[Measurement], config: TrainingConfig) -> TrainingConfig:
    """Return the configuration with what can be compared at all: where the base's own images have
    no FID, all go by their likeness. The two are never held against each other."""
    if config.early_stopping != "fid" or not history or history[0].fid is not None:
        return config
    return config.model_copy(update={"early_stopping": "likeness"})


def _is_early(
    looked: Sequence[Measurement], config: TrainingConfig, share: float = PATIENT
) -> bool:
    """Whether likeness may still be about to rise."""
    return looked[-1].step < share * config.steps + config.warmup_steps


def _climbs(since: Sequence[Measurement], top: Measurement, config: TrainingConfig) -> bool:
    """Whether what has been flat is far from the photos, and nothing else speaks for an end: each
    validation of a slow climb may gain less than the noise, and one that rests may climb again."""
    way = way_of(top)
    if config.early_stopping != "likeness" or way is None or not sound(top, config):
        return False
    assert top.likeness is not None and top.likeness_floor is not None  # see way_of and score
    far = top.likeness < top.likeness_floor + FAR * way
    return far and any(sound(one, config) for one in since[-config.patience :])


def _photos_differ(history: Sequence[Measurement], config: TrainingConfig) -> bool:
    """Whether the photos are no more like each other than the base's images are like them. Pictures
    in one style may well be."""
    first = next((one for one in history if one.likeness_ceiling is not None), None)
    if first is None or first.likeness_ceiling is None or first.likeness_floor is None:
        return False
    styles = any(concept.kind == "style" for concept in config.every_concept)
    return not styles and way_of(first) is None


def _is_outrun(
    top: Measurement, trained: int, history: Sequence[Measurement], config: TrainingConfig
) -> bool:
    """Whether a training went on for long behind the best step, and nothing says how that went:
    its embedder has gone, say."""
    steps = [one.step for one in history if one.step < config.steps]  # the last one may be near
    distance = min((after - before for before, after in pairwise(steps)), default=top.step)
    return _measured(history, config)[-1] is top and trained - top.step > 2 * distance


def _why(since: Sequence[Measurement], top: Measurement, config: TrainingConfig) -> str:
    """What the validations behind the best one were like."""
    if not any(follows(one, config) for one in since):
        low = min(one.retention for one in since if one.retention is not None)
        return f"retention fell to {low:.2f}, below its floor of {config.retention_floor:g}"
    if all(memorised(one) for one in since):
        return "photos come back"
    what = "FID" if config.early_stopping == "fid" else "likeness"
    return f"{what} has been flat since step {top.step}"


def _end(
    top: Measurement, trained: int, history: Sequence[Measurement], config: TrainingConfig
) -> str:
    """Why nothing behind the best step was exported."""
    since = [one for one in _measured(history, config) if one.step > top.step]
    if not since and reached(top, config):
        return _AT_CEILING
    if not since and trained != top.step:
        return f"trained on to step {trained}, not measured"
    if not since:
        peak = _top_and_peak(history, config)[1] or top
        return "" if peak.step == top.step else f"flat since step {peak.step}"
    why = _why(since, top, config)
    return f"no better until step {trained}" if "flat" in why else f"then {why}"


def _figures(one: Measurement) -> str:
    """A validation in a few words."""
    said = []
    if (share := one.likeness_share) is not None and way_of(one) is not None:
        said.append(f"likeness {share:.2f} of the way to its ceiling")
    elif one.likeness is not None:
        said.append(f"likeness {one.likeness:.2f}")
    if one.fid is not None:
        said.append(f"FID {one.fid.value:.0f} ({one.fid.low:.0f} to {one.fid.high:.0f})")
    if one.retention is not None:
        said.append(f"retention {one.retention:.2f}")
    return ", ".join(said) or "nothing could be measured"


def _others(history: Sequence[Measurement]) -> str:
    """Whose measurements could not be compared."""
    others = [one for one in history if one.embedder != history[0].embedder]
    names = ", ".join(sorted({one.embedder for one in others}))
    said = "What {} measured from step {} on was left out: the validations before are by {}."
    return said.format(names, others[0].step, history[0].embedder) if others else ""


def _warning(
    history: Sequence[Measurement], config: TrainingConfig, top: Measurement | None
) -> str | None:
    """What is wrong with a training all the same, and what to do."""
    looked = _measured(history, config)
    if not looked:
        return "no likeness could be measured: it was trained to its last step."
    if _photos_differ(history, config):
        return (
            "the photos are no more like each other than what the base draws is like them. Are "
            "they of one subject, sharp and well lit? If so, train with early_stopping off."
        )
    if not any(risen(one, history) for one in looked):
        return (
            f"likeness has not risen from what the base draws in {looked[-1].step} steps: look at "
            "the photos (lensa check), or raise learning_rate."
        )
    if top is None or sound(top, config):
        return None
    if memorised(top):
        return (
            "the images come far closer to one of the photos than photos are to each other: it is "
            "learned by heart. More photos, and more different ones, would be learned better."
        )
    return (
        f"no step with a likeness follows prompts as its base does (retention {top.retention:.2f}, "
        f"floor {config.retention_floor:g}): more different photos, a lower learning_rate or prior "
        "preservation help."
    )
