"""Finished avatars in the twin's bucket, without a training job for each of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cloud import settle

from lensa.avatar import Avatar
from lensa.client import Client
from lensa.contract import AvatarManifest
from lensa.contract.events import Event
from lensa.endpoint import Endpoint
from lensa.testing import SagemakerTwin

ADA, REX = "lensa-adaadaad-00000001", "lensa-rexrexre-00000002"


@pytest.fixture(name="twin")
def twin_fixture(
    sagemaker_twin: SagemakerTwin, monkeypatch: pytest.MonkeyPatch, micro_avatar: Avatar
) -> SagemakerTwin:
    """An account that has two avatars on one base."""
    settle(sagemaker_twin, monkeypatch)
    shelve(sagemaker_twin, micro_avatar, ADA)
    shelve(sagemaker_twin, micro_avatar, REX)
    return sagemaker_twin


def deploy(*avatars: str, events: list[Event] | None = None, **options: Any) -> Endpoint:
    on_event = (lambda event: None) if events is None else events.append
    return Client().deploy(*(avatars or (ADA,)), on_event=on_event, **options)


def quickly(*avatars: str, **options: Any) -> Endpoint:
    """Deploy without the image that proves it, which takes a model in memory."""
    return deploy(*avatars, wait=False, **options)


def end_of(twin: SagemakerTwin, endpoint: str) -> datetime:
    """Return the end that is set for an endpoint."""
    schedule = twin.client("scheduler").get_schedule(Name=endpoint)
    return datetime.strptime(schedule["ScheduleExpression"], "at(%Y-%m-%dT%H:%M:%S)").replace(
        tzinfo=UTC
    )


def shelve(twin: SagemakerTwin, avatar: Avatar, id: str = ADA, **changes: Any) -> str:
    """Put an avatar of this machine into the bucket, as the job `id` would have left it.

    `changes` are fields of its manifest that are to differ. Returns the id.
    """
    manifest: AvatarManifest = avatar.manifest.model_copy(update={"avatar": id, **changes})
    s3 = twin.client("s3")
    for file in avatar.manifest.files:
        s3.upload_file(
            str(avatar.path / file.path),
            twin.bucket,
            f"lensa/avatars/{id}/output/model/{file.path}",
        )
    s3.put_object(
        Bucket=twin.bucket,
        Key=f"lensa/avatars/{id}/output/model/avatar.json",
        Body=manifest.model_dump_json().encode(),
    )
    return id


def shelve_broken(twin: SagemakerTwin, avatar: Avatar) -> str:
    """Put an avatar there whose weights were altered, and return its id."""
    broken = shelve(twin, avatar, "lensa-brokenbr-00000003")
    [weights] = [file for file in avatar.manifest.files if file.path.endswith(".safetensors")]
    key = f"lensa/avatars/{broken}/output/model/{weights.path}"
    twin.client("s3").put_object(Bucket=twin.bucket, Key=key, Body=bytes(weights.size))
    return broken


def left_of_endpoints(twin: SagemakerTwin) -> list[str]:
    """Return everything in the account that belongs to an endpoint, its files included."""
    pages = twin.client("s3").get_paginator("list_objects_v2").paginate(Bucket=twin.bucket)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return [
        *(name for names in twin.resources().values() for name in names),
        *(key for key in keys if key.startswith(("lensa/endpoints/", "lensa/async/"))),
    ]


def gone(twin: SagemakerTwin, name: str) -> None:
    """Return when an endpoint that is on its way out is gone."""
    if (endpoint := twin.endpoints.get(name)) is not None:
        assert endpoint.gone.wait(30), endpoint
