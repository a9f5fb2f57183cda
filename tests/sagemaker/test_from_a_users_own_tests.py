"""Somebody's own test of what they do with lensa, with nothing but the public fixture."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TINY

THEIRS = """
import lensa


def test_an_avatar_of_ours(sagemaker_twin):
    avatar = lensa.train(
        {photos!r},
        subject="ada",
        backend="sagemaker",
        role=sagemaker_twin.role,
        bucket=sagemaker_twin.bucket,
        **{recipe!r},
    )
    with avatar.deploy() as endpoint:
        gallery = endpoint.generate("as an astronaut", count=2, expand=True, seed=7)
        assert sagemaker_twin.endpoints[endpoint.name].status == "InService"
    assert len(gallery) == 2
    assert sagemaker_twin.resources() == {{
        "endpoints": [],
        "endpoint_configs": [],
        "models": [],
        "schedules": [],
        "scalable_targets": [],
        "scaling_policies": [],
        "alarms": [],
    }}
"""


@pytest.mark.slow
def test_trained_deployed_asked_and_nothing_is_left(tmp_path: Path, photos: Path) -> None:
    theirs = tmp_path / "test_theirs.py"
    theirs.write_text(THEIRS.format(photos=str(photos), recipe=TINY))
    done = subprocess.run(
        [*(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"), str(theirs)],
        cwd=tmp_path,
        env={**os.environ, "LENSA_POLL_SECONDS": "0.2"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
