"""The whole mission from somebody else's test file, by the public fixture alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import write_photos

THEIRS = """
import lensa


def test_our_service_makes_an_avatar_and_leaves_nothing(sagemaker_twin, monkeypatch, tmp_path):
    monkeypatch.setenv("LENSA_BACKEND", "sagemaker")
    monkeypatch.setenv("LENSA_ROLE", sagemaker_twin.role)
    monkeypatch.setenv("LENSA_BUCKET", sagemaker_twin.bucket)
    monkeypatch.setenv("LENSA_POLL_SECONDS", "0.2")
    monkeypatch.setenv("LENSA_HOME", str(tmp_path))

    avatar = lensa.train(
        "photos", subject="ada", base="micro", steps=4, class_images=2, class_image_steps=2,
        validation_every=0, tracker="none",
    )
    with avatar.deploy() as endpoint:
        assert sagemaker_twin.endpoints[endpoint.name].status == "InService"
        gallery = endpoint.generate("as an astronaut", count=2, steps=2, seed=7, expand=True)
        assert len(gallery) == 2
        assert all("as an astronaut" in image.prompt for image in gallery)

    assert sagemaker_twin.resources() == {kind: [] for kind in sagemaker_twin.resources()}
    assert [job.status for job in sagemaker_twin.jobs.values()] == ["Completed"]
"""


def test_train_deploy_generate_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(THEIRS)
    write_photos(tmp_path / "photos")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LENSA_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_theirs.py"],
        cwd=tmp_path,
        env=kept,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
