"""A client of the twin's account, and what must not be left behind in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import TINY

from lensa.avatar import Avatar
from lensa.client import Client
from lensa.testing import SagemakerTwin

if TYPE_CHECKING:
    from torch import Tensor


def settle(twin: SagemakerTwin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every client of this test, and its processes, use the twin's bucket and role."""
    for name, value in {
        "BACKEND": "sagemaker",
        "ROLE": twin.role,
        "BUCKET": twin.bucket,
        "POLL_SECONDS": "0.2",
    }.items():
        monkeypatch.setenv(f"LENSA_{name}", value)


def train(photos: Path, *, home: Path | None = None, **changes: Any) -> Avatar:
    """Train the tiny recipe in the twin."""
    events = changes.pop("events", None)
    return Client(home=home).train(
        photos,
        **{
            "subject": "ada",
            "on_event": (lambda event: None) if events is None else events.append,
            **TINY,
            **changes,
        },
    )


def weights(avatar: Avatar) -> dict[str, Tensor]:
    """Every tensor of a finished avatar."""
    from safetensors.torch import load_file  # and torch, which not every test needs

    return {
        f"{path.name} {name}": tensor
        for path in sorted(avatar.path.rglob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }


def keys_in(twin: SagemakerTwin) -> list[str]:
    pages = twin.client("s3").get_paginator("list_objects_v2").paginate(Bucket=twin.bucket)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def open_uploads(twin: SagemakerTwin) -> list[dict[str, Any]]:
    answer = twin.client("s3").list_multipart_uploads(Bucket=twin.bucket)
    uploads: list[dict[str, Any]] = answer.get("Uploads", [])
    return uploads
