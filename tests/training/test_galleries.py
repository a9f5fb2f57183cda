"""The gallery: drawn by the job that trains, with what the endpoint would answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from training.running import Job, make_job, tiny_config

from inference_entrypoint.artifact import verify_files
from inference_entrypoint.avatars import load_avatar
from lensa.contract import BASES
from lensa.contract.gallery import GalleryItem
from lensa.errors import ConfigError
from training_entrypoint.deadline import MARGIN
from training_entrypoint.job import job_id
from training_entrypoint.stopping import Stopped

SEA = GalleryItem(name="sea", prompt="a photo of {subject} at sea", count=2, steps=2, seed=5)
INK = GalleryItem(name="ink", prompt="{subject}, ink drawing", format="png", steps=2, seed=5)
QUICK = {"steps": 1, "prior_preservation": False, "validation_prompts": ()}


def gallery_of(job: Job) -> list[str]:
    return [one.path for one in job.manifest.files if one.path.startswith("gallery/")]


def drawn(number: int) -> Any:
    return lambda event: (
        event["event"] == "progress" and event["stage"] == "gallery" and event["step"] == number
    )


def test_the_images_are_those_of_an_endpoint_and_an_interrupted_gallery_goes_on(
    tmp_path: Path,
) -> None:
    job = make_job(tmp_path, gallery=(SEA, INK), **QUICK)
    job.stop_when = drawn(2)
    with pytest.raises(Stopped):
        job.run()
    first = drawn_already(job)
    assert len(first) == 2

    seen: list[dict[str, int]] = []
    job.stop_when = lambda event: drawn(3)(event) and bool(seen.append(drawn_already(job)))
    job.run()
    assert first.items() <= seen[0].items()  # none of them is drawn again
    assert gallery_of(job) == [
        "gallery/ink/000.png",
        "gallery/sea/000.webp",
        "gallery/sea/001.webp",
    ]
    assert not job.layout.gallery.exists()  # a finished job of this machine needs it no more
    asked = load_avatar(job.layout.model).generate(INK.request(0)).images[0]
    with Image.open(job.layout.model / "gallery/ink/000.png") as image:
        assert image.tobytes() == asked.tobytes()
        assert "Sampler: DPM++ 2M Karras" in image.info["parameters"]  # to make it again


def test_a_stop_costs_a_job_on_aws_neither_the_avatar_nor_what_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINING_JOB_ARN", "arn:aws:sagemaker:us-east-1:1:training-job/x")
    job = make_job(tmp_path, gallery=(SEA, INK), **QUICK)
    job.stop_when = drawn(1)
    with pytest.raises(Stopped):
        job.run()
    assert gallery_of(job) == ["gallery/sea/000.webp"]
    verify_files(job.layout.model, job.manifest)  # it is whole, and nobody may start it again

    job.stop_when = None
    job.run()
    assert len(gallery_of(job)) == 3
    verify_files(job.layout.model, job.manifest)


def test_a_disk_that_takes_no_image_does_not_cost_the_avatar(tmp_path: Path) -> None:
    job = make_job(tmp_path, gallery=(SEA, INK), **QUICK)
    job.layout.checkpoints.mkdir()
    job.layout.gallery.touch()  # where a folder would have to be
    assert job.run() == 1
    assert gallery_of(job) == []
    (said,) = [e["message"] for e in job.events("notice") if "are left out" in e["message"]]
    assert said.startswith("0 of 3 images of the gallery are drawn, and the others are left out: ")


def drawn_already(job: Job) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in job.layout.gallery.iterdir()}


def test_what_there_is_no_time_for_is_left_out_and_said(tmp_path: Path) -> None:
    job = make_job(tmp_path, gallery=(SEA, INK), **QUICK)
    job.limit = MARGIN + 1000
    job.takes = lambda event: 1000 if drawn(2)(event) else 0
    job.run()
    assert gallery_of(job) == ["gallery/sea/000.webp", "gallery/sea/001.webp"]
    assert [e for e in job.events("notice") if "2 of 3 images of the gallery" in e["message"]]


def test_the_first_image_is_taken_to_need_what_drawing_took_before(tmp_path: Path) -> None:
    job = make_job(tmp_path, gallery=(SEA,), **QUICK)
    job.limit = 1100
    earlier = {"job": job_id(job.config), "seconds": 0, "drawing": 400}  # of another container
    job.layout.checkpoints.mkdir()
    (job.layout.checkpoints / "elapsed.json").write_text(json.dumps(earlier))
    job.takes = lambda event: 600 if event.get("stage") == "gallery" else 0
    job.run()
    assert gallery_of(job) == []  # 1100 - 120 to start again - 600 leave less than 400 and a margin
    assert [e for e in job.events("notice") if "0 of 2 images of the gallery" in e["message"]]


def test_what_cannot_be_drawn_does_not_cost_the_avatar(tmp_path: Path) -> None:
    unchecked = BASES["micro"].model_copy(update={"safety_checker": "nobody/has-this-checker"})
    job = make_job(tmp_path, gallery=(SEA, INK), base=unchecked, **QUICK)
    assert job.run() == 1
    assert gallery_of(job) == []
    (said,) = [e["message"] for e in job.events("notice") if "cannot be drawn" in e["message"]]
    assert said.startswith("of the gallery sea, ink cannot be drawn: ")
    assert "nobody/has-this-checker" in said


def test_a_gallery_is_no_part_of_what_a_job_is_named_after() -> None:
    assert tiny_config(gallery=(SEA, INK)).identity() == tiny_config().identity()


def test_a_gallery_that_cannot_be_drawn_is_refused_before_anything_is_paid() -> None:
    with pytest.raises(ConfigError, match="'sea' is there twice"):
        tiny_config(gallery=(SEA, SEA))
    with pytest.raises(ConfigError, match="256 images are asked for, and a job draws 200"):
        many = [SEA.model_copy(update={"name": f"sea-{n}", "count": 64}) for n in range(4)]
        tiny_config(gallery=many)
    with pytest.raises(ConfigError, match="prompt"):
        GalleryItem(name="sea", prompt="(sea:1.3")
