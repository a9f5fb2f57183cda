"""Captions and several concepts on their way to a container in the twin, and back as an avatar."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cloud import keys_in, settle
from conftest import TINY, write_photos

from lensa.client import Client
from lensa.contract import VaeRef
from lensa.errors import ConfigError
from lensa.testing import SagemakerTwin


@pytest.fixture(autouse=True)
def cloud(sagemaker_twin: SagemakerTwin, monkeypatch: pytest.MonkeyPatch) -> SagemakerTwin:
    settle(sagemaker_twin, monkeypatch)
    return sagemaker_twin


def test_concepts_and_captions_reach_the_job_and_go_with_the_photos(
    cloud: SagemakerTwin, tmp_path: Path
) -> None:
    for number, name in enumerate(("ada", "rex", "dogs")):
        write_photos(tmp_path / name, 4, seed=number)
    (tmp_path / "ada" / "0.txt").write_text("Ada by the sea")
    concepts = [
        {
            "instance_prompt": "photo of ohwx person",
            "class_prompt": "photo of a person",
            "instance_data_dir": str(tmp_path / "ada"),
        },
        {
            "instance_prompt": "photo of sks dog",
            "class_prompt": "photo of a dog",
            "instance_data_dir": str(tmp_path / "rex"),
            "class_data_dir": str(tmp_path / "dogs"),
        },
    ]
    events: list[object] = []
    avatar = Client().train(concepts=concepts, subject="ada", on_event=events.append, **TINY)
    manifest = avatar.manifest
    assert [concept.subject for concept in manifest.config.every_concept] == [
        "ohwx person",
        "sks dog",
    ]
    assert len(manifest.photo_digests) == 8
    assert len(manifest.token_pieces) == 2
    said = " ".join(str(getattr(event, "message", "")) for event in events)
    assert "1 of 8 photos have captions" in said
    assert "8 photos and 4 class photos of yours with 1 caption would be uploaded" in said

    keys = [key.removeprefix("lensa/") for key in keys_in(cloud)]
    captions = [key for key in keys if key.endswith(".txt")]
    assert len(captions) == 1
    assert all(key.startswith("photos/") for key in captions)  # they expire with the photos
    assert sum("/concept-2/" in key and "/class/" not in key for key in keys) == 4
    assert sum("/class/concept-2/" in key for key in keys) == 4
    assert len({key.split("/")[1] for key in keys if key.startswith("class-images/")}) == 1
    calls = [call.parameters for call in cloud.calls if call.service == "sagemaker"]
    assert "by the sea" not in json.dumps(calls, default=str)


def test_a_vae_that_the_job_cannot_reach_is_refused_before_anything_is_sent(
    cloud: SagemakerTwin, photos: Path, tmp_path: Path
) -> None:
    vae = VaeRef(source="folder", location=str(tmp_path))
    with pytest.raises(ConfigError, match=r"a folder of this machine.*vae/ travels whole"):
        Client().train(photos, subject="ada", vae=vae, **TINY)
    hub = VaeRef(source="hub", location="stabilityai/sd-vae-ft-mse")
    with pytest.raises(ConfigError, match="is on the hub, which the job cannot reach"):
        Client().train(photos, subject="ada", vae=hub, network_isolation=True, **TINY)
    assert not cloud.jobs
    assert not [key for key in keys_in(cloud) if "/photos/" in key]
