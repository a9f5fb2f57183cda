"""What the job takes in: photos, class images of its own or of the user, a tracker."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import write_photos
from PIL import Image
from training.running import make_job, reached

from lensa.backends.local.children import child_environment
from lensa.errors import PhotosError
from training_entrypoint.images import has_mask, read_photo
from training_entrypoint.stopping import Stopped


def test_class_images_are_drawn_by_the_base_model_in_the_job(tmp_path: Path) -> None:
    job = make_job(tmp_path, class_images=3)
    job.run()
    drawn = sorted((job.layout.checkpoints / "class_images").glob("*.png"))
    assert len(drawn) == 3
    assert len({path.read_bytes() for path in drawn}) == 3
    stages = [event["stage"] for event in job.events("stage")]
    assert stages.index("class_images") < stages.index("training")


def test_class_images_of_the_user_are_taken_instead(tmp_path: Path) -> None:
    job = make_job(tmp_path, class_images=3)
    write_photos(job.layout.class_images, count=2, seed=9)
    job.run()
    assert not (job.layout.checkpoints / "class_images").exists()
    assert "2 class images of your own" in job.events("notice")[0]["message"]


def test_a_job_without_photos_says_so(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    for path in job.layout.photos.iterdir():
        path.unlink()
    with pytest.raises(PhotosError, match="no photos"):
        job.run()


def test_a_photo_that_pillow_refuses_is_one_error_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = write_photos(tmp_path, 1, side=32) / "0.png"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # beyond twice that it is no OSError
    assert not has_mask(photo)
    with pytest.raises(PhotosError, match=r"0\.png cannot be read any more.*Upload it again"):
        read_photo(photo)


def test_validation_images_are_drawn_at_the_start_and_on_the_way(tmp_path: Path) -> None:
    job = make_job(tmp_path, validation_every=2, steps=4)
    job.run()
    assert [event["step"] for event in job.events("validation")] == [0, 2, 4]
    for event in job.events("validation"):
        assert all((job.layout.checkpoints / path).is_file() for path in event["images"])


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (None, "no training configuration"),
        ("{", "Invalid JSON"),
        ('{"stepz": 1}', "unknown field 'stepz'"),
    ],
)
def test_a_bad_configuration_is_one_paragraph_in_the_failure_file(
    tmp_path: Path, config: str | None, reason: str
) -> None:
    job = make_job(tmp_path)
    if config is not None:
        job.layout.config.parent.mkdir(parents=True)
        job.layout.config.write_text(config)
    done = subprocess.run(
        [sys.executable, "-m", "training_entrypoint"],
        env=child_environment(job.layout.root),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert reason in job.layout.failure.read_text()
    end = json.loads(done.stdout.splitlines()[-1])
    assert (end["event"], end["status"], end["error"]) == ("end", "failed", "ConfigError")
    assert "Traceback" not in done.stderr


def test_photos_that_vanish_while_it_trains_cost_nothing(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    photos = sorted(job.layout.photos.iterdir())
    digests = [hashlib.sha256(photo.read_bytes()).hexdigest() for photo in photos]

    def vanish(event: dict[str, Any]) -> bool:
        if event.get("stage") == "training" and event.get("step") == 2:
            for photo in photos:
                photo.unlink()
        return False

    job.stop_when = vanish
    assert job.run() == job.config.steps
    assert list(job.manifest.photo_digests) == digests
    assert not any(photo.exists() for photo in photos)


def test_a_class_image_that_is_damaged_is_drawn_again(tmp_path: Path) -> None:
    job = make_job(tmp_path, class_images=2)
    job.stop_when = reached(1)
    with pytest.raises(Stopped):
        job.run()
    drawn = job.layout.checkpoints / "class_images" / "0001.png"
    whole = drawn.read_bytes()
    drawn.write_bytes(whole[:100])
    job.stop_when = None
    job.run()
    assert drawn.read_bytes() == whole
    assert any("0001.png first" in event["message"] for event in job.events("notice"))
