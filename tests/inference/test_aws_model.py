"""A worker of AWS's image that could not load tries again, and draws nothing for nobody."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from making import make_avatar
from on_the_shelf import Time

from inference_entrypoint import aws_image
from inference_entrypoint.avatars import Avatar
from inference_entrypoint.aws_model import RETRY, Model
from inference_entrypoint.inference import model_fn
from inference_entrypoint.statuses import Refusal
from lensa.contract.asked import ATTRIBUTES_HEADER, TOO_OLD, asked_at
from lensa.testing.hugging_face_image import Context

BODY = '{"prompt": "x", "steps": 1}'


def test_what_failed_while_loading_is_tried_again_once_in_a_while(tmp_path: Path) -> None:
    folder, away, clock = make_avatar(tmp_path / "model"), tmp_path / "away", Time()
    manifest = shutil.move(folder / "avatar.json", away)
    model = Model(lambda: model_fn(str(folder)), clock=clock)
    first = model.get()
    assert isinstance(first, Refusal) and first.status == 500
    shutil.move(manifest, folder / "avatar.json")
    clock.now += RETRY - 1
    assert model.get() == first
    clock.now += 1
    loaded = model.get()
    assert isinstance(loaded, Avatar) and model.get() is loaded


@pytest.mark.parametrize(
    ("seconds", "refused"), [(50, False), (58, True), (-30, False), (1000, False)]
)
def test_what_nobody_waits_for_any_more_is_not_drawn(
    seconds: float, refused: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)
    headers = {ATTRIBUTES_HEADER: asked_at(1_800_000_000 - seconds)}
    context = Context(tmp_path, headers, "an-id")
    request = aws_image.input_fn(BODY, "application/json", context)
    assert isinstance(request, Refusal) == refused
    if isinstance(request, Refusal):
        assert (request.status, request.message) == (503, TOO_OLD)
