"""A base model that comes as a channel is used in place of what the configuration names."""

from __future__ import annotations

from pathlib import Path

import torch
from training.running import make_job

from inference_entrypoint.bases import weights_digest
from inference_entrypoint.micro import build_micro
from lensa.contract import BASES

OF_THE_HUB = {"source": "hub", "location": "someone/something", "name": "theirs"}


def test_a_mirrored_base_needs_no_hub_and_keeps_its_revision(tmp_path: Path) -> None:
    """The hub is offline in these tests: a job that asked it would fail."""
    job = make_job(tmp_path, steps=2, base=BASES["micro"].model_copy(update=OF_THE_HUB))
    build_micro().save_pretrained(job.layout.base)
    (job.layout.base / "REVISION").write_text("0123abcd\n")
    job.run()
    assert job.manifest.base_revision == "0123abcd"
    own = make_job(tmp_path / "own", steps=2)
    own.run()
    assert own.weights().keys() == job.weights().keys()
    assert all(torch.equal(job.weights()[name], own.weights()[name]) for name in own.weights())


def test_a_mirror_without_a_revision_is_known_by_its_weights(tmp_path: Path) -> None:
    job = make_job(tmp_path, steps=1)
    build_micro().save_pretrained(job.layout.base)
    job.run()
    assert job.manifest.base_revision == weights_digest(job.layout.base)
