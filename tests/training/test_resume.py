"""An interrupted training goes on as if nothing had happened: the weights are bit-identical."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from training.processes import Interruption, run_process
from training.running import Job, make_job, reached, tiny_config

from inference_entrypoint.bases import base_revision
from inference_entrypoint.micro import build_micro
from lensa.bases import resolve_base
from lensa.contract import VaeRef
from lensa.errors import ConfigError
from training_entrypoint import checkpoints
from training_entrypoint.stopping import Stopped


def same(one: Job, other: Job) -> bool:
    mine, theirs = one.weights(), other.weights()
    assert mine.keys() == theirs.keys()
    return all(torch.equal(mine[name], theirs[name]) for name in mine)


# More ways, and real signals: test_interrupted.py.
@pytest.mark.parametrize(
    ("stop_at", "changes"),
    [
        (1, {}),
        (4, {"method": "full", "optimizer": "adamw8bit", "train_text_encoder": True}),
    ],
    ids=["1-lora", "4-full, 8-bit"],
)
def test_stopped_and_resumed(tmp_path: Path, changes: dict[str, Any], stop_at: int) -> None:
    straight = make_job(tmp_path / "straight", steps=6, **changes)
    straight.run()
    broken = make_job(tmp_path / "broken", steps=6, **changes)
    broken.stop_when = reached(stop_at)
    with pytest.raises(Stopped) as stopped:
        broken.run()
    assert stopped.value.step == stop_at
    assert not (broken.layout.model / "avatar.json").exists()
    broken.stop_when = None
    broken.run()
    assert broken.events("notice")[0]["message"].endswith(f"at step {stop_at}")
    assert same(straight, broken)


def test_two_runs_with_one_seed_are_the_same_and_another_seed_is_not(tmp_path: Path) -> None:
    jobs = [make_job(tmp_path / str(n), seed=seed) for n, seed in enumerate((5, 5, 6))]
    for job in jobs:
        job.run()
    assert same(jobs[0], jobs[1])
    assert not same(jobs[0], jobs[2])


def test_a_damaged_checkpoint_is_said_and_the_job_goes_on_from_the_one_before(
    tmp_path: Path,
) -> None:
    job = make_job(tmp_path, steps=4, checkpoint_every=1)
    job.stop_when = reached(3)
    with pytest.raises(Stopped):
        job.run()
    folder, told = job.layout.checkpoints, []
    for name in ("trained.safetensors", "optimization.pt", "state.json"):
        file = folder / "step-000003" / name
        whole = file.read_bytes()
        for damaged in (b"{}", whole[:-9]):
            file.write_bytes(damaged)
            found = checkpoints.newest(folder, job.config, told.append)
            assert found == (2, folder / "step-000002"), name
        file.write_bytes(whole)
    damage = "the checkpoint step-000003 is damaged or incomplete: the one before it is used."
    assert told == [damage] * 6
    assert checkpoints.newest(folder, job.config) == (3, folder / "step-000003")
    (folder / "step-000003" / "trained.safetensors").write_bytes(b"")
    job.stop_when = None
    assert job.run() == 4
    said = [event["message"] for event in job.events("notice")]
    assert said == [damage, "resumed from the checkpoint at step 2"]


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Path) -> None:
    job = make_job(tmp_path, steps=4)
    job.stop_when = reached(2)
    with pytest.raises(Stopped):
        job.run()
    job.config = job.config.model_copy(update={"learning_rate": 1e-5, "seed": 9})
    with pytest.raises(ConfigError) as raised:
        job.run()
    assert "learning_rate was 0.001 and is 1e-05, seed was 0 and is 9" in str(raised.value)


def test_a_checkpoint_upon_another_base_or_vae_is_refused(tmp_path: Path) -> None:
    build_micro().save_pretrained(tmp_path / "base")
    weights = tmp_path / "base" / "unet" / "diffusion_pytorch_model.safetensors"
    job = make_job(
        tmp_path,
        base=resolve_base(str(tmp_path / "base")),
        vae=VaeRef(source="folder", location=str(tmp_path / "base" / "vae")),
        prior_preservation=False,
        validation_prompts=(),
    )
    job.stop_when = reached(2)
    with pytest.raises(Stopped):
        job.run()
    job.stop_when = None
    noted = json.loads((job.layout.checkpoints / "step-000002" / "state.json").read_text())
    first, vae = noted["origin"]["base"], noted["origin"]["VAE"]
    tensors = load_file(weights)
    tensors["conv_in.bias"] += 1
    save_file(tensors, weights)
    now = base_revision(job.config.base)
    with pytest.raises(ConfigError, match=f"other weights: the base was {first} and is {now}"):
        job.run()
    with pytest.raises(ConfigError, match=f"the VAE was {vae} and is another"):
        checkpoints.check_origin(job.layout.checkpoints, {"base": first, "VAE": "another"})


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    job = make_job(tmp_path, steps=6, checkpoint_every=1, checkpoints_kept=2)
    job.stop_when = reached(5)
    with pytest.raises(Stopped):
        job.run()
    kept = sorted(path.name for path in job.layout.checkpoints.glob("step-*"))
    assert kept == ["step-000004", "step-000005"]


def test_a_stop_while_class_images_are_drawn_keeps_those_that_are(tmp_path: Path) -> None:
    job = make_job(tmp_path, class_images=6)
    job.stop_when = lambda event: event.get("stage") == "class_images" and "step" in event
    with pytest.raises(Stopped):
        job.run()
    folder = job.layout.checkpoints / "class_images"
    drawn = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(drawn) == 4
    job.stop_when = None
    job.run()
    assert all(path.stat().st_mtime_ns == time for path, time in drawn.items())


def test_a_checkpoint_from_before_a_field_was_known_is_still_good(tmp_path: Path) -> None:
    job = make_job(tmp_path, steps=4)
    job.stop_when = reached(2)
    with pytest.raises(Stopped):
        job.run()
    state = job.layout.checkpoints / "step-000002" / "state.json"
    told = json.loads(state.read_text())
    del told["config"]["noise_offset"], told["config"]["memory"], told["origin"]
    state.write_text(json.dumps(told))
    job.stop_when = None
    assert job.run() == 4
    assert job.events("notice")[-1]["message"] == "resumed from the checkpoint at step 2"


def test_a_base_with_dropout_resumes_to_the_same_bits_too(tmp_path: Path) -> None:
    build_micro().save_pretrained(tmp_path / "base")
    settings = tmp_path / "base" / "text_encoder" / "config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"attention_dropout": 0.3}))
    fields: dict[str, Any] = {
        "base": resolve_base(str(tmp_path / "base")),
        "train_text_encoder": True,
        "validation_prompts": (),
    }
    straight, broken = (make_job(tmp_path / name, **fields) for name in ("straight", "broken"))
    straight.run()
    broken.stop_when = reached(2)
    with pytest.raises(Stopped):
        broken.run()
    broken.stop_when = None
    torch.manual_seed(1234)  # another process has other numbers
    broken.run()
    assert same(straight, broken)


def no_large_files() -> None:
    """From here a file that grows beyond 100 kB is refused, as it is on a disk that is full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_disk_that_fills_while_saving_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"method": "full", "checkpoint_every": 2, "validation_prompts": ()}
    straight, job = (make_job(tmp_path / name, **fields) for name in ("straight", "full"))
    straight.run()
    assert run_process(job, Interruption(3, signal.SIGTERM)) == 143
    before = sorted(path.name for path in job.layout.checkpoints.glob("step-*"))
    assert before
    assert run_process(job, prepare=no_large_files) == 2
    assert "the disk is full. Free some space" in job.layout.failure.read_text()
    assert sorted(path.name for path in job.layout.checkpoints.glob("step-*")) == before
    assert not list(job.layout.checkpoints.glob(".*"))
    assert run_process(job) == 0
    assert same(straight, job)


def test_a_damaged_checkpoint_takes_no_good_ones_place(tmp_path: Path) -> None:
    folder, recipe = tmp_path / "checkpoints", tiny_config(checkpoints_kept=1)
    weights = {"unet.x": torch.zeros(2)}
    checkpoints.save(folder, 5, recipe, weights, {})
    (folder / "step-000005" / "trained.safetensors").write_bytes(b"{}")
    checkpoints.save(folder, 2, recipe, weights, {})  # begun anew, since that one is no good
    assert checkpoints.newest(folder, recipe) == (2, folder / "step-000002")
    assert [path.name for path in folder.iterdir()] == ["step-000002"]
