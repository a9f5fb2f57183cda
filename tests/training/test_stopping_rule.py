"""When a training stops by itself, and which step it exports: the rule, without a training."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensa.contract import BASES, Concept, Interval, Measurement, TrainingConfig, preset
from training_entrypoint.stopping_rule import best, choose, decide


def config(**changes: Any) -> TrainingConfig:
    recipe = preset("person", "lora", BASES["sd15"], steps=800)
    return TrainingConfig(**{**recipe, "subject_id": "7k2m0000", **changes})


def measured(step: int, likeness: float | None, **values: Any) -> Measurement:
    """A validation between a floor of 0.5 and a ceiling of 0.9."""
    bounds = {"likeness_floor": 0.5, "likeness_ceiling": 0.9, "retention": 0.95}
    rest = {"embedder": "clip"} | bounds | values
    return Measurement(step=step, likeness=likeness, **rest)


def history(*likenesses: float | None, every: int = 40, **values: Any) -> list[Measurement]:
    """What was measured at step 0, 40, 80 and so on."""
    return [measured(every * n, one, **values) for n, one in enumerate((0.5, *likenesses))]


def stops_at(looked: list[Measurement], asked: TrainingConfig) -> int | None:
    """The step behind which a training of this history ends."""
    for count in range(1, len(looked) + 1):
        if decide(looked[:count], asked).stop:
            return looked[count - 1].step
    return None


def test_it_goes_on_while_likeness_rises() -> None:
    assert stops_at(history(0.55, 0.6, 0.65, 0.7, 0.75, 0.8), config()) is None


def test_it_stops_when_likeness_has_been_flat_for_the_patience_and_exports_the_best() -> None:
    looked = history(0.6, 0.7, 0.78, 0.785, 0.75)
    assert stops_at(looked, config()) == 200
    assert decide(looked, config()).reason == "likeness has been flat since step 120"
    choice = choose(looked, config())
    assert choice is not None
    assert (choice.step, choice.trained, choice.of) == (160, 200, 800)
    assert choice.stopped
    assert choice.reason == (
        "step 160 of 800: likeness 0.71 of the way to its ceiling, retention 0.95, no better until "
        "step 200"
    )
    assert choice.warning is None
    flat = choose(history(0.6, 0.7, 0.78, 0.785, 0.78), config())
    assert flat is not None
    assert (flat.step, flat.trained, flat.stopped) == (200, 200, True)
    assert flat.reason == (
        "step 200 of 800: likeness 0.70 of the way to its ceiling, retention 0.95, flat since "
        "step 120"
    )


def test_images_as_like_the_photos_as_these_are_to_each_other_are_enough() -> None:
    looked = history(0.6, 0.75, 0.905, 0.93)
    assert stops_at(looked, config()) == 120
    choice = choose(looked[:4], config())
    assert choice is not None
    assert choice.stopped
    assert choice.reason == (
        "step 120 of 800: likeness 1.01 of the way to its ceiling, retention 0.95, the images are "
        "as like the photos as these are to each other"
    )
    assert stops_at(history(0.905, 0.8, 0.8), config()) == 120  # not at once
    assert stops_at(history(0.6, 0.75, 0.89, 0.93), config()) == 160  # nearly is not enough
    forgetful = [*looked[:3], measured(120, 0.905, retention=0.5)]
    assert stops_at(forgetful, config()) is None


def test_a_climb_that_rests_is_not_called_flat_before_it_has_come_near_the_photos() -> None:
    slow = [0.585 + 0.0076 * n for n in range(20)]  # each gains 0.019 of the way
    assert stops_at(history(*slow[:7]), config()) is None
    top = best(history(*slow[:7]), config())
    assert top is not None
    assert top.step == 280
    assert stops_at(history(*slow), config()) == 600  # not near them in 0.75 of the steps
    late = [*[0.6] * 13, 0.7, 0.75, 0.8]  # just in time
    assert stops_at(history(*late), config()) is None
    assert stops_at(history(*[0.7] * 6, 0.85, 0.88), config()) is None  # rests half-way
    assert stops_at(history(*[0.6] * 20), config()) == 600
    assert stops_at(history(*[0.6] * 20), config(warmup_steps=100)) == 720
    assert stops_at(history(*[0.78] * 20), config()) == 120  # 0.7 of the way
    fell = [*history(0.6, 0.61), measured(120, 0.62, retention=0.5)]
    assert stops_at([*fell, measured(160, 0.63, retention=0.4)], config()) == 160


def test_patience_is_counted_in_validations() -> None:
    looked = history(0.8, 0.8, 0.8, 0.8, 0.8, 0.8)
    assert [stops_at(looked, config(patience=n)) for n in (1, 2, 4)] == [80, 120, 200]


def test_what_is_within_the_noise_is_no_gain_and_the_latest_counts() -> None:
    for likenesses in ((0.80, 0.81, 0.815), (0.80, 0.81, 0.79)):
        looked = history(*likenesses)
        top = best(looked, config())
        assert top is not None
        assert top.step == 120
        assert stops_at(looked, config()) == 120
        assert decide(looked, config()).reason == "likeness has been flat since step 40"


def test_a_likeness_that_sinks_a_little_each_time_is_held_against_its_highest() -> None:
    looked = history(0.7, 0.69, 0.68, 0.67)  # 0.016 is the noise
    top = best(looked, config(patience=4))
    assert top is not None
    assert top.step == 80


def test_of_steps_as_alike_only_one_that_follows_prompts_takes_the_place_of_the_best() -> None:
    for worse in ({"retention": 0.8}, {"memorisation": 9.0}):
        top = best([*history(0.7, 0.7), measured(120, 0.7, **worse)], config())
        assert top is not None
        assert top.step == 80


def test_a_step_that_no_longer_follows_prompts_is_not_exported_however_alike() -> None:
    looked = [
        *history(0.6, 0.7),
        measured(120, 0.85, retention=0.8),
        measured(160, 0.88, retention=0.7),
    ]
    assert stops_at(looked, config()) == 160
    choice = choose(looked, config())
    assert choice is not None
    assert choice.step == 80
    assert choice.reason.endswith("then retention fell to 0.70, below its floor of 0.85")
    lower = choose(looked, config(retention_floor=0.5))
    assert lower is not None
    assert lower.step == 160


def test_photos_that_come_back_are_not_exported() -> None:
    looked = [
        *history(0.7),
        measured(80, 0.8, memorisation=4.5),
        measured(120, 0.85, memorisation=9.0),
    ]
    assert decide(looked, config()).reason == "photos come back"
    choice = choose(looked, config())
    assert choice is not None
    assert choice.step == 40
    near = best([*history(0.7), measured(80, 0.8, memorisation=3.5)], config())
    assert near is not None
    assert near.step == 80  # a good likeness


def test_where_no_step_follows_prompts_the_one_that_does_most_is_exported_with_a_warning() -> None:
    looked = [
        measured(0, 0.5, retention=1.0),
        measured(40, 0.7, retention=0.80),
        measured(80, 0.8, retention=0.6),
        measured(120, 0.8, retention=0.5),
    ]
    assert stops_at(looked, config()) == 120
    choice = choose(looked, config())
    assert choice is not None
    assert choice.step == 40
    assert choice.warning is not None
    assert "retention 0.80, floor 0.85" in choice.warning


def test_a_likeness_that_never_rises_ends_at_half_of_the_steps_with_a_warning() -> None:
    flat = history(*[0.51, 0.5, 0.52, 0.49] * 5)
    assert stops_at(flat, config()) == 400
    assert stops_at(flat, config(warmup_steps=100)) == 520
    assert decide(flat, config()).reason == "likeness does not rise"
    choice = choose(flat, config(), 400)
    assert choice is not None
    assert choice.step == 400  # no step is worth more than another
    assert choice.warning is not None
    assert "has not risen" in choice.warning


def test_photos_unlike_each_other_stop_it_early_with_a_warning() -> None:
    looked = history(0.51, 0.52, 0.5, 0.51, likeness_ceiling=0.51)
    assert stops_at(looked, config()) == 120  # a first image can be unlucky
    choice = choose(looked[:4], config())
    assert choice is not None
    assert (choice.step, choice.trained) == (120, 120)
    assert choice.warning is not None
    assert "no more like each other" in choice.warning
    # Pictures in one style may show anything, learned alone or beside a person.
    beside = Concept(kind="style", token="zwxq", class_noun="painting", class_prompt="a painting")
    for asked in (config(kind="style"), config(concepts=(beside,))):
        assert stops_at(looked, asked) is None


def test_photos_unlike_each_other_whose_likeness_rises_are_learned() -> None:
    looked = history(0.51, 0.6, 0.7, 0.7, 0.68, likeness_ceiling=0.51)
    assert stops_at(looked, config()) == 200
    choice = choose(looked, config())
    assert choice is not None
    assert choice.step == 160
    assert choice.warning is not None
    assert "no more like each other" in choice.warning


def test_with_one_photo_there_is_no_ceiling_and_likeness_is_compared_all_the_same() -> None:
    looked = history(0.6, 0.7, 0.7, 0.68, likeness_ceiling=None)
    assert stops_at(looked, config()) == 160
    choice = choose(looked, config())
    assert choice is not None
    assert choice.reason.startswith("step 120 of 800: likeness 0.70, retention 0.95")


def test_what_could_not_be_measured_neither_stops_it_nor_counts() -> None:
    looked = history(0.7, None, None, None, 0.8, 0.8, None)
    assert stops_at(looked, config()) is None
    top = best(looked, config())
    assert top is not None
    assert top.step == 240
    nothing = history(None, None, None, None, likeness_floor=None)
    assert stops_at(nothing, config()) is None
    choice = choose(nothing, config(), 800)
    assert choice is not None
    assert choice.step == 800
    assert choice.warning == "no likeness could be measured: it was trained to its last step."


def test_what_another_embedder_measured_after_a_resume_is_not_compared() -> None:
    looked = history(0.6, 0.7, 0.7)
    looked += [measured(160, 0.95, embedder="dinov2"), measured(200, 0.99, embedder="dinov2")]
    assert stops_at(looked, config(patience=2)) is None
    choice = choose(looked, config())
    assert choice is not None
    assert choice.step == 120
    assert choice.warning == (
        "What dinov2 measured from step 160 on was left out: the validations before are by clip."
    )


def test_where_measuring_ceased_at_an_early_best_the_last_step_is_exported() -> None:
    looked = history(0.6, 0.7)  # at 40 and 80
    early = choose(looked, config(), 160)
    assert early is not None
    assert early.step == 80  # two validations may be missing
    choice = choose(looked, config(), 800)
    assert choice is not None
    assert (choice.step, choice.trained) == (800, 800)
    assert choice.reason == (
        "step 800 of 800: the last one, since nothing could be measured behind step 80; likeness "
        "0.50 of the way to its ceiling, retention 0.95 (at step 80)"
    )
    flat = choose(history(0.7, 0.6), config(), 800)  # what came behind it was seen
    assert flat is not None
    assert flat.step == 40


def test_off_trains_to_the_last_step_and_says_what_it_measured() -> None:
    off = config(early_stopping="off")
    looked = history(*[0.7] * 20)
    assert stops_at(looked, off) is None
    choice = choose(looked, off)
    assert choice is not None
    assert choice.step == 800
    assert choice.reason == (
        "step 800 of 800: the last one, since early_stopping is off; likeness 0.50 of the way to "
        "its ceiling, retention 0.95"
    )


def test_fid_stops_where_it_no_longer_falls() -> None:
    def at(step: int, fid: float) -> Measurement:
        return measured(step, 0.7, fid=Interval(value=fid, low=fid - 9, high=fid + 9))

    looked = [at(0, 90), at(40, 80), at(80, 60), at(120, 60), at(160, 63)]
    asked = config(early_stopping="fid")
    assert stops_at(looked, asked) == 160
    assert decide(looked, asked).reason == "FID has been flat since step 80"
    choice = choose(looked, asked)
    assert choice is not None
    assert choice.step == 120
    assert "FID 60 (51 to 69)" in choice.reason


def test_a_fid_is_never_compared_with_a_likeness() -> None:
    def at(step: int, likeness: float, fid: float | None) -> Measurement:
        score = None if fid is None else Interval(value=fid, low=fid - 9, high=fid + 9)
        return measured(step, likeness, fid=score)

    asked = config(early_stopping="fid")
    gaps = [at(0, 0.5, 90), at(40, 0.7, 80), at(80, 0.8, None), at(120, 0.7, 60)]
    top = best(gaps, asked)
    assert top is not None
    assert top.step == 120
    # Without a FID at step 0 it is likeness throughout.
    late = [at(0, 0.5, None), at(40, 0.7, None), at(80, 0.8, 60), at(120, 0.8, 30), at(160, 0.7, 9)]
    choice = choose(late, asked)
    assert choice is not None
    assert choice.step == 120
    assert choice.reason.endswith("no better until step 160")
    assert decide(late, asked).reason == "likeness has been flat since step 80"


def test_nothing_was_looked_at() -> None:
    for looked in ([], history()):
        assert not decide(looked, config()).stop
        assert choose(looked, config(), 800) is None


def test_a_training_that_the_budget_ends_exports_the_best_so_far() -> None:
    choice = choose(history(0.7, 0.6), config(), 110)
    assert choice is not None
    assert (choice.step, choice.trained) == (40, 110)
    assert not choice.stopped


cosines = st.none() | st.floats(0, 1)


@given(
    ends=st.tuples(cosines, cosines),
    values=st.lists(st.tuples(cosines, st.none() | st.floats(0, 2), cosines), max_size=12),
)
def test_the_best_of_a_history_depends_on_nothing_behind_it(
    ends: tuple[Any, Any], values: list[tuple[Any, ...]]
) -> None:
    """One set of weights is kept: the best step is always the newest one or the one before it."""
    names, asked, before = ("likeness", "retention", "memorisation"), config(), None
    looked: list[Measurement] = []
    for step, row in enumerate(values):
        own = {"likeness_floor": ends[0], "likeness_ceiling": ends[1]}
        own |= dict(zip(names, row, strict=True))
        looked.append(Measurement(step=step, embedder="clip", **own))
        top = best(looked, asked)
        assert top in (before, looked[-1])
        before = top
        choice = choose(looked, asked)
        assert choice is None or choice.step in (choice.trained, top.step if top else -1)


@pytest.mark.parametrize("kind", ["person", "pet", "object", "style"])
def test_every_kind_stops(kind: Any) -> None:
    recipe = preset(kind, "lora", BASES["sd15"], steps=800)
    asked = TrainingConfig(**{**recipe, "subject_id": "7k2m0000"})
    assert stops_at(history(0.8, 0.8, 0.8), asked) == 120
