"""A worker of AWS's image that could not load tries again, and forgets who was removed."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
from making import make_avatar
from many import id_of, numbered
from on_the_shelf import Time, put, shelf_of, take_away

from inference_entrypoint import aws_image
from inference_entrypoint.avatars import Avatar
from inference_entrypoint.aws_model import RETRY, Model
from inference_entrypoint.inference import model_fn
from inference_entrypoint.library import Library
from inference_entrypoint.shelf import FRESH
from inference_entrypoint.statuses import Refusal
from lensa.contract.asked import ATTRIBUTES_HEADER, asked_at
from lensa.testing import SagemakerTwin
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


def test_who_was_removed_is_forgotten_while_nobody_asks(
    sagemaker_twin: SagemakerTwin, tmp_path: Path
) -> None:
    folders = {number: numbered(tmp_path / str(number), number) for number in (1, 2)}
    clock, gone = Time(), threading.Event()

    class Telling(Library):
        def look_round(self) -> None:
            super().look_round()
            if id_of(2) not in self.names():
                gone.set()

    library = Telling(shelf=shelf_of(sagemaker_twin, clock))
    library.add(folders[1])
    put(sagemaker_twin, folders[2], id_of(2))
    library.get(id_of(2))
    take_away(sagemaker_twin, id_of(2))
    clock.now += FRESH
    model = Model(lambda: library, round_seconds=0.01)
    assert gone.wait(30)
    with model.lock:
        assert library.names() == [id_of(1)] and library.loaded() == []


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
        assert (request.status, request.type) == (503, "TurnTooLate")
