"""The same call with more time: trains again what its time has cut short, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cloud import settle, train
from conftest import TINY

from lensa.avatar import Avatar
from lensa.client import Client
from lensa.testing import SagemakerTwin


def test_what_stopped_by_itself_is_not_trained_again(
    sagemaker_twin: SagemakerTwin, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(sagemaker_twin, monkeypatch)
    avatar = train(photos, max_hours=1)
    choice = {"step": 1, "trained": 2, "of": TINY["steps"], "reason": "step 1 of 4: flat"}
    sagemaker_twin.faults.slow_start(3600)

    rewrite(sagemaker_twin, avatar, steps_trained=2, choice={**choice, "stopped": True})
    assert again(photos, max_hours=2) == avatar.id
    rewrite(sagemaker_twin, avatar, steps_trained=2, choice={**choice, "stopped": False})
    assert again(photos, max_hours=1) == avatar.id
    assert again(photos, max_hours=2) == f"{avatar.id}-2"


def again(photos: Path, **options: Any) -> str:
    return Client().train(photos, subject="ada", wait=False, **TINY, **options).name


def rewrite(twin: SagemakerTwin, avatar: Avatar, **fields: Any) -> None:
    """Change what the finished avatar says of itself in the bucket."""
    s3 = twin.client("s3")
    (key,) = (
        item["Key"]
        for item in s3.list_objects_v2(Bucket=twin.bucket)["Contents"]
        if item["Key"].endswith(f"{avatar.id}/output/model/avatar.json")
    )
    body = s3.get_object(Bucket=twin.bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=twin.bucket, Key=key, Body=json.dumps({**json.loads(body), **fields}))
