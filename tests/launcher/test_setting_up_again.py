"""A worker of AWS's image that could not be set up tries again, and draws when that has passed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from inference.making import make_avatar
from inference.on_the_shelf import Time

from inference_entrypoint.unused import bring_back
from launcher.handlers import RETRY, handlers
from launcher.requirements import SERVING, differing, pinned
from lensa.contract.environment import SECRETS
from lensa.testing.hugging_face_image import Context

BODY = '{"prompt": "x", "steps": 1}'


@pytest.fixture(autouse=True)
def for_the_other_tests() -> Iterator[None]:
    """A worker leaves out what drawing never uses; this process does more than draw."""
    yield
    bring_back()


def test_it_is_tried_again_once_in_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if differing(pinned(SERVING)):
        pytest.skip("other versions are installed here than those that are pinned")
    folder, clock = make_avatar(tmp_path), Time()
    monkeypatch.setenv(SECRETS, '{"HF_TOKEN": "a secret itself"}')
    model_fn, input_fn, predict_fn, output_fn = handlers(folder / "code", clock)
    model = model_fn(str(folder), Context(folder, {}, ""))

    def ask() -> tuple[int, str]:
        context = Context(folder, {}, "an-id")
        response = predict_fn(input_fn(BODY, "application/json", context), model, context)
        body = output_fn(response, "application/json", context)
        return context.status, str(json.loads(body))

    status, told = ask()
    assert status == 500 and "SetupError" in told and "not the ARN" in told
    assert "a secret itself" not in told
    monkeypatch.delenv(SECRETS)
    clock.now += RETRY - 1
    assert ask() == (status, told)
    clock.now += 1
    assert [ask()[0], ask()[0]] == [200, 200]
