"""Whoever follows a job may die: the job runs on, and is found again from anywhere."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from cloud import keys_in, open_uploads, settle
from conftest import TINY

import lensa
from lensa.client import Client
from lensa.testing import SagemakerTwin

ROOT = Path(lensa.__file__).resolve().parent.parent
LENSA = [sys.executable, "-c", "from lensa.cli import main; main()"]
RECIPE = [
    "--yes", "--base", "micro", "--steps", "4",
    "--set", "class_images=2", "--set", "class_image_steps=2",
    "--set", 'validation_prompts=["a photo of {subject}"]', "--set", "tracker=none",
]  # fmt: skip


@pytest.fixture(autouse=True)
def cloud(sagemaker_twin: SagemakerTwin, monkeypatch: pytest.MonkeyPatch) -> SagemakerTwin:
    settle(sagemaker_twin, monkeypatch)
    return sagemaker_twin


def run(*arguments: str) -> list[dict[str, object]]:
    """Run a command as a process of its own; return what it printed."""
    child = subprocess.run([*LENSA, *arguments, "--json"], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    return [json.loads(line) for line in child.stdout.splitlines()]


def test_the_command_line_does_it_all(cloud: SagemakerTwin, photos: Path) -> None:
    *events, result = run("train", str(photos), "--subject", "ada", *RECIPE)
    assert any(event.get("event") == "phase" for event in events)
    assert any(event.get("stage") == "uploading" for event in events)
    job = str(result["avatar"])
    assert Path(str(result["path"]), "avatar.json").is_file()
    assert result["steps"] == 4

    listed = run("jobs")[-1]["jobs"]
    assert isinstance(listed, list)
    assert [entry["name"] for entry in listed] == [job]
    lines = [entry["line"] for entry in run("logs", "-f", job)]
    assert lines == cloud.jobs[job].log
    avatars = run("avatars")[-1]["avatars"]
    assert isinstance(avatars, list)
    assert avatars[0]["subject"] == "ada"


def test_a_killed_client_loses_nothing(cloud: SagemakerTwin, photos: Path) -> None:
    command = [*LENSA, "train", str(photos), "--subject", "ada", *RECIPE, "--json"]
    client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    for line in client.stdout:
        if '"event":"phase"' in line.replace(" ", ""):
            break
    os.kill(client.pid, signal.SIGKILL)
    client.wait()
    client.stdout.close()

    [name] = cloud.jobs
    avatar = lensa.attach(name, backend="sagemaker").wait(lambda event: None)
    assert avatar.manifest.steps_trained == 4
    assert cloud.jobs[name].starts == 1
    assert not open_uploads(cloud)


def test_the_command_that_is_named_finds_the_job_from_anywhere(
    cloud: SagemakerTwin, photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started = Client().train(photos, subject="ada", wait=False, **TINY)
    command = started.command("attach")
    for name in ("BACKEND", "BUCKET", "ROLE"):
        monkeypatch.delenv(f"LENSA_{name}")
    monkeypatch.setenv("LENSA_HOME", str(tmp_path / "another-machine"))
    result = run(*command.split()[1:])[-1]
    assert result["avatar"] == started.name


def test_the_job_runs_from_what_was_uploaded_alone(
    cloud: SagemakerTwin, photos: Path, tmp_path: Path
) -> None:
    source = tmp_path / "checkout"
    for package in ("lensa", "launcher", "training_entrypoint", "inference_entrypoint"):
        shutil.copytree(
            ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    cloud.faults.slow_start(600)
    subprocess.run(
        [*LENSA, "train", str(photos), "--subject", "ada", *RECIPE, "--detach"],
        env={**os.environ, "PYTHONPATH": str(source)},
        check=True,
        capture_output=True,
    )
    shutil.rmtree(source)
    shutil.rmtree(photos)
    [name] = cloud.jobs
    cloud.clock.advance(601)
    assert cloud.jobs[name].wait(120).status == "Completed"
    assert Client().avatar("ada").manifest.avatar == name


def test_afterwards_nothing_is_left(
    cloud: SagemakerTwin, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    Client().train(photos, subject="ada", on_event=lambda event: None, **TINY)
    assert not open_uploads(cloud)
    assert not list(temporary.iterdir())
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
    tops = {key.split("/")[1] for key in keys_in(cloud)}
    assert tops == {
        "avatars", "checkpoints", "class-images", "code", "jobs", "photos", "subjects",
    }  # fmt: skip
