"""Validation in a real training: what is drawn, what is written down, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from training.running import Job, make_job, reached

from lensa.contract import METRICS_FILE, BaseModelRef, Measurement
from lensa.contract.events import ValidationEvent
from lensa.display import measured as line_of
from training_entrypoint.images import read_photo
from training_entrypoint.measuring import embedders, record
from training_entrypoint.measuring.measure import Measure
from training_entrypoint.measuring.probes import probes_of
from training_entrypoint.stopping import Stopped
from training_entrypoint.validation import numbers

TOWER = "a photo of {subject} in front of the Eiffel Tower"


def history(job: Job) -> list[Measurement]:
    """What was measured, without the time that it took."""
    found = record.read(job.layout.checkpoints)
    return [measured.model_copy(update={"seconds": 0.0}) for measured in found]


def test_each_validation_is_a_line_an_event_and_images(tmp_path: Path) -> None:
    prompts = ("a photo of {subject}", TOWER)
    job = make_job(tmp_path, steps=4, validation_every=2, validation_prompts=prompts)
    job.run()
    first, second, *_ = found = record.read(job.layout.checkpoints)
    assert (first.step, second.step) == (0, 2)
    assert first.embedder == second.embedder == "clip micro"
    assert first.likeness == first.likeness_floor == second.likeness_floor
    assert first.seconds > 0
    for measured, event in zip(found, job.events("validation"), strict=True):
        assert list(measured.images) == event["images"]
        assert event["likeness"] == measured.likeness
        assert event["retention"] == measured.retention is not None
        assert event["kid"] == pytest.approx(measured.kid.value if measured.kid else None)
        sizes = {read_photo(job.layout.checkpoints / path).size for path in measured.images}
        assert sizes == {(32, 32)}
        figures = numbers(measured)
        assert figures["validation/likeness"] == measured.likeness
        assert figures["validation/kid_low"] <= figures["validation/kid"]
    said = [event["message"] for event in job.events("notice")]
    assert not [message for message in said if "validation" in message.lower()]


def test_a_training_in_half_precision_is_measured_in_full(tmp_path: Path) -> None:
    job = make_job(tmp_path, steps=1, validation_every=1, precision="bf16")
    job.run()
    config, layout = job.config, job.layout
    measure = Measure(config, layout, embedders.find_embedders(config))
    for step, kept in zip((0, 1), record.read(layout.checkpoints), strict=True):
        folder = layout.validation / f"step-{step:06d}"
        drawn = [(p, read_photo(folder / f"{p.name}.png")) for p in probes_of(config)]
        again = measure.measure(step, drawn)
        assert kept.likeness == again.likeness
        assert kept.likeness_ceiling == again.likeness_ceiling


def test_an_interrupted_training_has_measured_the_same(tmp_path: Path) -> None:
    changes = {"steps": 4, "validation_every": 1, "checkpoint_every": 2}
    straight = make_job(tmp_path / "straight", **changes)
    straight.run()
    broken = make_job(tmp_path / "broken", **changes)
    broken.stop_when = reached(3)
    with pytest.raises(Stopped):
        broken.run()
    broken.stop_when = None
    broken.run()
    seen, known = history(broken), history(straight)
    assert [measured.step for measured in seen][:3] == [0, 1, 2]
    assert all(measured in known for measured in seen)


def test_one_image_of_the_base_that_cannot_be_read_costs_no_measurement(tmp_path: Path) -> None:
    changes = {"validation_prompts": ("a photo of {subject}", TOWER), "checkpoint_every": 1}
    job = make_job(tmp_path, steps=2, validation_every=1, **changes)
    job.stop_when = reached(1)
    with pytest.raises(Stopped):
        job.run()
    damaged, *_ = sorted((job.layout.validation / "step-000000").glob("*.png"))
    damaged.write_bytes(b"\x89PNG\r\n\x1a\n")
    job.stop_when = None
    job.run()
    last = record.read(job.layout.checkpoints)[-1]
    assert last.step == 2
    assert None not in (last.likeness, last.likeness_floor)
    said = [event["message"] for event in job.events("notice")]
    assert len([text for text in said if f"{damaged.name} of step 0 cannot be read" in text]) == 1


def test_what_lies_behind_the_step_that_is_gone_on_from_is_forgotten(tmp_path: Path) -> None:
    for step in (0, 10, 20, 30):
        record.add(tmp_path, Measurement(step=step, embedder="clip"))
    with (tmp_path / METRICS_FILE).open("a") as file:
        file.write('{"step":40,"embed')  # the disk was full
    assert [measured.step for measured in record.read(tmp_path)] == [0, 10, 20, 30]
    assert [measured.step for measured in record.keep(tmp_path, 20)] == [0, 10, 20]
    record.add(tmp_path, Measurement(step=10, embedder="again"))
    assert [(m.step, m.embedder) for m in record.read(tmp_path)] == [(0, "clip"), (10, "again")]
    assert record.read(tmp_path / "nowhere") == []


def test_a_training_that_nothing_can_measure_is_a_training_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedders, "PACKAGED", "package:not_installed_here")
    job = make_job(tmp_path, steps=2, validation_every=1)
    base = job.config.base.model_copy(update={"embedder": "openai/clip-vit-base-patch32"})
    job.config = job.config.model_copy(update={"base": base})
    job.run()
    assert job.manifest.steps_trained == 2
    said = [event["message"] for event in job.events("notice")]
    assert len([message for message in said if "measured by nothing" in message]) == 1
    for event in job.events("validation"):
        assert event["likeness"] is None
        assert len(event["images"]) == 1
    assert history(job) == []


def test_by_whatever_its_images_are_measured_a_job_is_the_same_one() -> None:
    from training.running import tiny_config

    config = tiny_config()
    other: BaseModelRef = config.base.model_copy(update={"embedder": None})
    assert config.model_copy(update={"base": other}).identity() == config.identity()


def test_a_terminal_gets_one_short_line() -> None:
    seen = ValidationEvent(
        step=200, images=[], likeness=0.712, likeness_floor=0.5, likeness_ceiling=0.8, retention=0.9
    )
    assert line_of(seen) == (
        "step 200: likeness 0.71 (floor 0.50, ceiling 0.80), prompt retention 0.90"
    )
    assert line_of(ValidationEvent(step=200, images=[])) == ""
    older = json.loads('{"event":"validation","step":3,"images":["a.png"]}')
    assert ValidationEvent.model_validate(older).likeness is None
