"""Weights & Biases and TensorBoard: what they are shown, and what they must never cost."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import BaseModel
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c
from training.processes import Interruption, run_process
from training.running import Job, make_job
from training.wandb_file import RunFile, read_run
from training.wandb_server import serving

from lensa.contract import BASES, Concept
from training_entrypoint.tracking.background import Background
from training_entrypoint.tracking.public import public
from training_entrypoint.tracking.sink import Picture
from training_entrypoint.tracking.tensorboard import open_writer
from training_entrypoint.tracking.tracker import training_of
from training_entrypoint.tracking.weights_and_biases import settings

NAME = "lensa-7k2m0000-1f3a9c2e"


def environment(**variables: str) -> None:
    own = {"TRAINING_JOB_NAME": NAME, "WANDB_ERROR_REPORTING": "false"}
    os.environ.update({**own, **variables})


def tracked(job: Job, interruption: Interruption | None = None, **variables: str) -> int:
    """Run a job as its container does. W&B ends its threads with the process."""
    return run_process(job, interruption, partial(environment, **variables))


def run_of(job: Job, mode: str = "offline-run") -> RunFile:
    (file,) = job.layout.output.glob(f"wandb/{mode}-*/*.wandb")
    return read_run(file)


def seen(run: RunFile, key: str) -> list[int]:
    """The steps at which a figure, or an image, was told."""
    return [row["_step"] for row in run.history if key in row or f"{key}/path" in row]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A training without a key: nothing is sent, and the run is kept."""
    job = make_job(
        tmp_path_factory.mktemp("wandb"),
        tracker="wandb",
        validation_every=2,
        validation_prompts=["a photo of {subject}", "{subject} on the moon"],
        gallery=[{"name": "sketch", "prompt": "a sketch of {subject}", "steps": 2}],
    )
    assert tracked(job) == 0
    return job


def test_an_offline_run_can_be_read_back_whole(job: Job) -> None:
    run = run_of(job)
    assert (run.run_id, run.project, run.exit_code) == (NAME, "lensa", 0)
    assert run.config["learning_rate"] == 1e-3
    assert run.config["base"] == "micro"
    for figure in ("loss", "learning_rate", "gradient_norm", "images_per_second", "memory_gb"):
        assert seen(run, figure) == [1, 2, 3, 4], figure


def test_what_a_validation_measured_is_among_it(job: Job) -> None:
    lines = (job.layout.model / "metrics.jsonl").read_text().splitlines()
    run = run_of(job)
    assert len(seen(run, "validation/likeness")) == len(lines) >= 2


def test_a_prompts_images_have_one_key_so_that_steps_can_be_compared(job: Job) -> None:
    run = run_of(job)
    first = seen(run, "validation/0-a-photo-of-subject")
    assert first[:2] == [0, 2]
    assert seen(run, "validation/1-subject-on-the-moon") == first
    (folder,) = job.layout.output.glob("wandb/offline-run-*")
    kept = [row["validation/1-subject-on-the-moon/path"] for row in run.history if row["_step"] < 3
            and "validation/1-subject-on-the-moon/path" in row]  # fmt: skip
    assert all((folder / "files" / path).is_file() for path in kept)


def test_chart_samples_gallery_and_the_artifacts_digest_close_the_run(job: Job) -> None:
    run = run_of(job)
    manifest = (job.layout.model / "avatar.json").read_bytes()
    assert run.summary["artifact_sha256"] == hashlib.sha256(manifest).hexdigest()
    assert run.summary["avatar"] == NAME
    for key in ("chart", "samples/1-subject-on-the-moon", "gallery/sketch/0"):
        assert seen(run, key) == [run.history[-1]["_step"]], key


def test_no_path_and_no_name_of_the_machine_is_in_it(job: Job) -> None:
    run = run_of(job)
    secrets = [str(job.layout.root), str(Path.home()), str(Path.cwd()), socket.gethostname()]
    for secret in filter(lambda text: len(text) > 1, secrets):
        assert secret.encode() not in run.content
    assert run.host == "lensa"
    (folder,) = job.layout.output.glob("wandb/offline-run-*")
    sent = {path.name for path in (folder / "files").rglob("*") if path.is_file()}
    assert {Path(name).suffix for name in sent} == {".png"}  # no metadata, no list of packages


def test_wandb_sync_sends_it(job: Job) -> None:
    """By wandb's own command, to as much of a server as that needs."""
    (folder,) = job.layout.output.glob("wandb/offline-run-*")
    with serving() as server:
        command = [sys.executable, "-m", "wandb", "sync", "--yes", str(folder)]
        environment = {**os.environ, **server.variables, "WANDB_ERROR_REPORTING": "false"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert server.rows == run_of(job).rows()
    for row in server.rows:
        for value in row.values():
            if isinstance(value, dict) and "path" in value:
                assert server.uploaded[value["path"]].startswith(b"\x89PNG")


def test_with_a_key_it_is_online_and_tells_the_server_no_more(tmp_path: Path) -> None:
    job = make_job(tmp_path, tracker="wandb")
    with serving() as server:
        assert tracked(job, **server.variables) == 0
    assert [row["_step"] for row in server.rows if "loss" in row] == [1, 2, 3, 4]
    assert any(name.startswith("media/images/chart") for name in server.uploaded)
    asked = [json.loads(body)["variables"] for body in server.bodies if b"UpsertBucket" in body]
    assert {request["program"] for request in asked} <= {"lensa", None}
    assert {request["host"] for request in asked} <= {"lensa", None}
    sent = b"".join(body for body in server.bodies if not body.startswith(b"\x89PNG"))
    for secret in (job.layout.root, Path.home(), Path.cwd(), Path(__file__).parents[2]):
        assert str(secret).encode() not in sent
    assert not [line for line in job.lines if "Biases" in line]


@pytest.mark.slow
def test_a_server_that_falls_silent_on_the_way_costs_no_avatar(tmp_path: Path) -> None:
    job = make_job(tmp_path, tracker="wandb")
    with serving() as server:
        server.silent_after_begin = True
        assert tracked(job, **server.variables, WANDB_FINISH_TIMEOUT="1") == 0
    assert server.rows == []
    said = " ".join(event["message"] for event in job.events("notice"))
    assert "not taken everything in time" in said
    assert seen(run_of(job, "run"), "loss") == [1, 2, 3, 4]  # the disk has it


def test_a_base_of_your_own_is_not_called_by_its_path(tmp_path: Path) -> None:
    config = make_job(tmp_path).config
    base = BASES["sd15"].model_copy(
        update={"name": "grace", "source": "folder", "location": "/home/grace/model"}
    )
    other = Concept(name="rex", kind="pet", token="sks", class_noun="dog")
    told = str(public(config.model_copy(update={"base": base, "concepts": (other,)})))
    assert "grace" not in told
    assert "rex" not in told
    assert "a folder of your own" in told


def test_a_resumed_training_goes_on_with_the_same_run(tmp_path: Path) -> None:
    """What was told before is in it once, and the steps only go up."""
    job = make_job(tmp_path, tracker="wandb", validation_every=2, checkpoint_every=2, steps=6,
                   early_stopping="off")  # fmt: skip
    assert tracked(job, Interruption(5, signal.SIGTERM)) == 143
    assert tracked(job) == 0
    run = run_of(job)  # one folder: there are no two runs
    assert run.run_id == NAME
    steps = [row["_step"] for row in run.history]
    assert steps == sorted(set(steps))
    assert seen(run, "loss") == [1, 2, 3, 4, 5, 6]
    assert seen(run, "validation/0-a-photo-of-subject")[:3] == [0, 2, 4]


def test_the_next_attempt_at_a_training_has_its_run() -> None:
    assert training_of(f"{NAME}-2") == training_of(NAME) == NAME
    assert training_of("a-job-of-your-own-2026-11") == "a-job-of-your-own-2026-11"


class OtherSettings(BaseModel, extra="forbid"):
    """Those of a version of W&B that does not know all of ours."""

    console: str = "auto"
    silent: bool = False


def test_another_version_of_wandb_is_told_no_setting_that_it_refuses() -> None:
    assert settings(OtherSettings) == OtherSettings(console="off", silent=True)


@contextmanager
def deaf() -> Iterator[int]:
    """A server that takes every connection and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    held.append(server.accept()[0])
            except OSError:
                return

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        for connection in held:
            connection.close()


@contextmanager
def dead() -> Iterator[int]:
    """A port that refuses every connection."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    yield port


@pytest.mark.parametrize("server", [deaf, pytest.param(dead, marks=pytest.mark.slow)])
def test_a_server_that_does_not_answer_stops_no_training(tmp_path: Path, server: Any) -> None:
    job = make_job(tmp_path, tracker="wandb")
    with server() as port:
        code = tracked(
            job,
            WANDB_API_KEY="0123456789" * 4,
            WANDB_BASE_URL=f"http://127.0.0.1:{port}",
            WANDB_INIT_TIMEOUT="1",
            WANDB_FINISH_TIMEOUT="1",
        )
    assert code == 0
    assert job.manifest.steps_trained == 4
    said = " ".join(event["message"] for event in job.events("notice"))
    assert "Weights & Biases cannot be reached" in said
    assert "wandb sync" in said
    assert seen(run_of(job), "loss") == [1, 2, 3, 4]


class Hanging:
    """A server that takes the run, and from then on nothing."""

    def __init__(self) -> None:
        self.forever = threading.Event()

    def metrics(self, step: int, values: Any) -> None:
        self.forever.wait(60)

    pictures = summary = close = metrics


def test_one_that_hangs_in_the_middle_holds_up_neither_steps_nor_the_end() -> None:
    sink = Hanging()
    background = Background(lambda say: sink, "the tracker")
    for step in range(10_000):
        background.call(lambda sink, step=step: sink.metrics(step, {}))  # type: ignore[misc]
    assert not background.close(0, seconds=0.1)
    assert background.notices() == ["the tracker takes no more: some of what was told is left out"]
    sink.forever.set()


def test_what_a_tracker_fails_with_is_said_once() -> None:
    def opening(say: Any) -> Any:
        raise OSError("no such place")

    background = Background(opening, "the tracker")
    for step in range(3):
        background.call(lambda sink, step=step: sink.metrics(step, {}))  # type: ignore[misc]
    assert background.close(0, seconds=10)
    assert background.notices() == ["the tracker is left out from here: no such place"]


class Refusing:
    """A tracker that raises at some steps."""

    def __init__(self, steps: range) -> None:
        self.steps = steps
        self.taken: list[int] = []
        self.closed_with: int | None = None

    def metrics(self, step: int, values: Any) -> None:
        if step in self.steps:
            raise ValueError(f"no {step}")
        self.taken.append(step)

    def close(self, exit_code: int) -> None:
        self.closed_with = exit_code


@pytest.mark.parametrize(
    ("fails", "takes", "says"),
    [
        (range(1, 3), [0, *range(3, 30)], ["did not take all that it was told: no 1"]),
        (
            range(1, 15),
            [0],
            ["did not take all that it was told: no 1", "is left out from here: no 10"],
        ),
    ],
)
def test_a_call_that_fails_costs_no_other_and_ten_in_a_row_end_it(
    fails: range, takes: list[int], says: list[str]
) -> None:
    """What was opened is closed, else the run would never end."""
    sink = Refusing(fails)
    background = Background(lambda say: sink, "the tracker")  # type: ignore[arg-type, return-value]
    for step in range(30):
        background.call(lambda sink, step=step: sink.metrics(step, {}))  # type: ignore[misc]
    assert background.close(3, seconds=10)
    assert sink.taken == takes
    assert background.notices() == [f"the tracker {words}" for words in says]
    assert sink.closed_with == 3


def test_a_picture_that_cannot_be_loaded_costs_no_other(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.png", tmp_path / "broken.png"
    Image.new("RGB", (8, 8)).save(whole)
    broken.write_bytes(whole.read_bytes()[:40])
    shown = [Picture(file.stem, "", file) for file in (broken, tmp_path / "none.png", whole)]
    writer = open_writer(make_job(tmp_path / "job").config, tmp_path, lambda words: None)
    writer.pictures(1, shown)
    writer.close(0)
    (file,) = (tmp_path / "tensorboard").iterdir()
    told = [value.tag for event in events(file) for value in event.summary.value]
    assert [tag for tag in told if tag in {"whole", "broken", "none"}] == ["whole"]


def events(file: Path) -> Iterator[Event]:
    """Read an event file back: length, its CRC, a protobuf, its CRC."""
    content, place = file.read_bytes(), 0
    while place < len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        data = content[place + 12 : place + 12 + length]
        (crc,) = struct.unpack_from("<I", content, place + 12 + length)
        assert crc == masked_crc32c(data), "the event file is damaged"
        yield Event.FromString(data)
        place += 12 + length + 4


def test_tensorboard_has_the_figures_and_the_images(tmp_path: Path) -> None:
    job = make_job(tmp_path, tracker="tensorboard", validation_every=2)
    job.run()
    (file,) = (job.layout.output / "tensorboard").glob("events.out.tfevents.*")
    told = [(event.step, value) for event in events(file) for value in event.summary.value]
    losses = [(step, value.simple_value) for step, value in told if value.tag == "loss"]
    assert [step for step, _ in losses] == [1, 2, 3, 4]
    assert all(loss > 0 for _, loss in losses)
    drawn = [step for step, value in told if value.tag == "validation/0-a-photo-of-subject"]
    assert drawn[:2] == [0, 2]
    assert {"chart", "samples/0-a-photo-of-subject"} <= {value.tag for _, value in told}
