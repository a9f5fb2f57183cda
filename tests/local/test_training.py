"""A local training outlives its client, is found again, and loses nothing, however it ends."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
import torch
from conftest import TINY
from local.processes import entrypoints, eventually, finish, lensa, read_until, settings
from requirements import need
from safetensors.torch import load_file
from training.running import reached

from lensa.avatar import Avatar
from lensa.client import Client
from lensa.errors import BusyError, NotFoundError, TrainingStopped

STEPS = 120  # seconds on `micro`, enough to interfere
LONG = {"steps": STEPS, "validation_every": 0}


def weights(avatar: Avatar) -> dict[str, torch.Tensor]:
    return load_file(avatar.path / "pytorch_lora_weights.safetensors")


def start_long(photos: Path, *more: str, **changes: object) -> subprocess.Popen[str]:
    options = settings(**{**LONG, **changes})
    return lensa("train", photos, "--subject", "ada", "--json", *options, *more)


def test_from_photos_to_images_on_the_command_line(photos: Path, tmp_path: Path) -> None:
    code, lines, _ = finish(lensa("train", photos, "--subject", "ada", "--json", *settings()))
    assert code == 0
    avatar = lines[-1]["avatar"]
    assert Path(lines[-1]["path"], "avatar.json").is_file()
    steps = [line["step"] for line in lines if line.get("event") == "progress"]
    assert steps[-1] == TINY["steps"]

    out = tmp_path / "out"
    arguments = ["generate", avatar, "as an astronaut", "--count", "2", "--seed", "5"]
    code, lines, _ = finish(lensa(*arguments, "--out", out, "--json"))
    assert code == 0
    assert [Path(path).parent for path in lines[-1]["images"]] == [out, out]
    assert all(Path(path).is_file() for path in lines[-1]["images"])


def test_the_same_call_finds_the_finished_avatar(client: Client, photos: Path) -> None:
    events: list[object] = []
    first = client.train(photos, subject="ada", on_event=events.append, **TINY)
    made = (first.path / "avatar.json").stat().st_mtime_ns
    again = client.train(photos, subject="ada", on_event=lambda event: None, **TINY)
    assert again.id == first.id
    assert (again.path / "avatar.json").stat().st_mtime_ns == made
    other = client.train(photos, subject="ada", on_event=lambda e: None, **{**TINY, "seed": 1})
    assert other.id != first.id
    assert [avatar.id for avatar in client.avatars()] == [other.id, first.id]
    assert client.avatar("ada").id == other.id
    log = list(client.attach(first.id).logs())
    assert '"status":"completed"' in log[-1]


def test_a_killed_client_leaves_the_training_running_and_is_followed_by_the_same_command(
    photos: Path, client: Client, isolated: Path
) -> None:
    process = start_long(photos)
    read_until(process, reached(5))
    process.kill()
    process.communicate()
    (trainer,) = entrypoints(isolated)
    code, lines, _ = finish(start_long(photos))
    assert code == 0
    assert lines[-1]["steps"] == STEPS
    assert not [line for line in lines if "resumed" in str(line.get("message"))]  # not restarted
    assert eventually(lambda: not trainer.is_running())
    assert len(client.jobs()) == 1


def test_attach_finds_a_job_from_another_process(photos: Path, client: Client) -> None:
    code, lines, _ = finish(start_long(photos, "--detach"))
    assert code == 0
    job = client.attach(lines[-1]["job"])
    assert job.status == "running"
    assert job.wait().id == job.name
    with pytest.raises(NotFoundError, match="no job 'lensa-nosuchjb-00000000'"):
        client.attach("lensa-nosuchjb-00000000")


def test_a_killed_trainer_is_said_and_the_same_call_goes_on_from_its_checkpoint(
    photos: Path, client: Client, isolated: Path, tmp_path: Path
) -> None:
    process = start_long(photos, checkpoint_every=10)
    read_until(process, reached(25))
    (trainer,) = entrypoints(isolated)
    trainer.kill()
    code, lines, err = finish(process)
    assert code == 1
    assert "was interrupted" in err
    assert lines[-1]["error"]["type"] == "TrainingError"
    assert client.jobs()[0].status == "interrupted"
    assert client.avatars() == []

    code, lines, _ = finish(start_long(photos, checkpoint_every=10))
    assert code == 0
    assert [line for line in lines if "resumed" in str(line.get("message"))]

    straight = Client(home=tmp_path / "other").train(
        photos,
        subject="ada",
        on_event=lambda event: None,
        **{**TINY, **LONG, "checkpoint_every": 10},
    )
    mine, theirs = weights(client.avatar("ada")), weights(straight)
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def test_ctrl_c_stops_cleanly_with_a_checkpoint_and_the_same_command_resumes(
    photos: Path, client: Client, isolated: Path
) -> None:
    process = start_long(photos)
    read_until(process, reached(5))
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130
    assert "goes on from its checkpoint" in err
    assert entrypoints(isolated) == []
    assert client.jobs()[0].status == "stopped"

    code, lines, _ = finish(start_long(photos))
    assert code == 0
    (resumed,) = [line for line in lines if "resumed" in str(line.get("message"))]
    assert int(resumed["message"].split()[-1]) >= 5


def test_stop_from_another_process(photos: Path, client: Client) -> None:
    process = start_long(photos)
    read_until(process, reached(5))
    job = client.jobs()[0].name
    code, lines, _ = finish(lensa("stop", job, "--json"))
    assert (code, lines[-1]) == (0, {"job": job, "status": "stopped"})
    assert finish(process)[0] == 130
    with pytest.raises(TrainingStopped):
        client.attach(job).wait()


def test_a_second_training_of_a_subject_is_refused_while_the_first_runs(
    photos: Path, client: Client, isolated: Path
) -> None:
    first = start_long(photos)
    read_until(first, reached(1))
    running = entrypoints(isolated)
    for again in (start_long(photos), start_long(photos, seed=1)):
        code, lines, err = finish(again)
        assert code == 2
        assert lines[-1]["error"]["type"] == "BusyError"
        assert "'ada' is being trained right now" in err
    first.kill()
    first.communicate()
    # The client is dead, but the training it started is not: another one still has to wait.
    with pytest.raises(BusyError, match="'ada' is being trained already"):
        client.train(photos, subject="ada", **{**TINY, "seed": 1})
    assert entrypoints(isolated) == running
    assert len(client.jobs()) == 1
    client.attach(client.jobs()[0].name).stop()


def test_what_fails_in_the_job_is_told_in_its_own_words(photos: Path, client: Client) -> None:
    need("cpu", not torch.cuda.is_available(), "a machine without a GPU, which refuses fp16")
    code, lines, err = finish(
        lensa("train", photos, "--subject", "ada", "--json", *settings(precision="fp16"))
    )
    assert code == 2
    assert lines[-1]["error"]["type"] == "ConfigError"
    assert "precision 'fp16' needs an NVIDIA GPU" in err
    (info,) = client.jobs()
    assert info.status == "failed"
    assert "use 'bf16', 'fp32' or 'auto'" in info.reason
    assert client.avatars() == []
