"""Base models in the bucket: whole or not there, and what jobs load from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cloud import keys_in, settle, train
from conftest import write_photos
from inference.fake_hub import COMMIT, fake_hub
from inference.making import micro

from lensa.client import Client
from lensa.errors import BaseModelError, ConfigError
from lensa.testing import SagemakerTwin

HUB = "studio/tiny-diffusion"


@pytest.fixture(autouse=True)
def cloud(sagemaker_twin: SagemakerTwin, monkeypatch: pytest.MonkeyPatch) -> SagemakerTwin:
    settle(sagemaker_twin, monkeypatch)
    sagemaker_twin.faults.slow_start(3600)  # what is submitted is looked at, not run
    return sagemaker_twin


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", side=256)  # a hub model is trained at 512


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    micro().save_pretrained(tmp_path / "my-model")
    (tmp_path / "my-model" / "unet" / "weights.bin").write_bytes(b"a pickle")
    return tmp_path / "my-model"


def channels(twin: SagemakerTwin) -> dict[str, str]:
    [job] = twin.jobs.values()
    return {
        channel["ChannelName"]: channel["DataSource"]["S3DataSource"]["S3Uri"]
        for channel in job.request["InputDataConfig"]
    }


def test_a_folder_is_copied_once_without_its_pickles(cloud: SagemakerTwin, folder: Path) -> None:
    address = Client().mirror(str(folder))
    names = [key.removeprefix("lensa/bases/my-model/").split("/", 1)[1] for key in keys_in(cloud)]
    assert {"REVISION", "model_index.json", "unet/config.json"} <= set(names)
    assert not [name for name in names if name.endswith(".bin")]
    sent = len(cloud.called("PutObject"))
    assert Client().mirror(str(folder)) == address
    assert len(cloud.called("PutObject")) == sent


def test_a_job_loads_the_mirror_of_a_hub_model(
    cloud: SagemakerTwin, folder: Path, photos: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with fake_hub(tmp_path / "cache", monkeypatch) as hub:
        hub.folders[HUB] = folder
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hub-home"))
        address = Client().mirror(HUB)
    assert address == f"s3://{cloud.bucket}/lensa/bases/studio--tiny-diffusion/{COMMIT}"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    train(photos, base=HUB, wait=False)
    assert channels(cloud)["base"] == f"{address}/"


def test_half_a_mirror_is_none(cloud: SagemakerTwin, photos: Path) -> None:
    half = f"lensa/bases/studio--tiny-diffusion/{COMMIT}/model_index.json"
    cloud.client("s3").put_object(Bucket=cloud.bucket, Key=half, Body=json.dumps({}).encode())
    train(photos, base=HUB, wait=False)
    assert "base" not in channels(cloud)


def test_without_a_mirror_an_isolated_job_is_refused_before_anything_is_sent(
    cloud: SagemakerTwin, photos: Path
) -> None:
    with pytest.raises(ConfigError, match="lensa mirror studio/tiny-diffusion"):
        train(photos, base=HUB, wait=False, network_isolation=True)
    assert not cloud.jobs
    assert not [key for key in keys_in(cloud) if "/photos/" in key]


def test_what_cannot_be_mirrored_is_said(
    cloud: SagemakerTwin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="there is nothing to mirror"):
        Client().mirror("micro")
    with pytest.raises(ConfigError, match="use backend='sagemaker'"):
        Client(backend="local").mirror("mini")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub-home"))
    with pytest.raises(BaseModelError, match="cannot be reached"):
        Client().mirror(HUB)
