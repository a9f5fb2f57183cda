"""What an error is to a client: the one table that every server of ours answers by."""

from __future__ import annotations

import json

import pytest

from inference_entrypoint.drawer import Going, TurnTooLate
from inference_entrypoint.engine import QueueFull
from inference_entrypoint.library import Replaced
from inference_entrypoint.shelf_bucket import ShelfBusy
from inference_entrypoint.statuses import Busy, UnsupportedMediaType, refusal
from lensa.errors import (
    ArtifactError,
    BaseModelError,
    ConfigError,
    NotFoundError,
    TooMuchError,
)

CASES = [
    (ConfigError("generation: count = 0"), 400, "ConfigError"),
    (NotFoundError("No avatar 'x' is here."), 400, "NotFoundError"),
    (BaseModelError("no face model"), 400, "BaseModelError"),
    (TooMuchError("64 images are more than 6 MB"), 413, "TooMuchError"),
    (UnsupportedMediaType("send application/json"), 415, "UnsupportedMediaType"),
    (ArtifactError("unet was altered"), 500, "ArtifactError"),
    (Busy("16 requests are waiting already."), 503, "Busy"),
]


@pytest.mark.parametrize(("error", "status", "kind"), CASES, ids=lambda case: str(case)[:20])
def test_an_error_has_a_status_and_the_body_says_its_name_and_its_words(
    error: Exception, status: int, kind: str
) -> None:
    refused = refusal(error, "7k2m0000")
    assert refused.status == status
    assert json.loads(refused.body) == {"error": {"type": kind, "message": str(error)}}


def test_who_is_told_to_come_back_is_told_when() -> None:
    assert refusal(Busy("16 wait already", retry_after=7)).retry_after == 7
    assert refusal(ConfigError("count = 0")).retry_after is None


WHY_BUSY = [
    Going(),
    QueueFull(16, 3),
    Replaced("avatar ada was replaced meanwhile: ask again."),
    ShelfBusy("SlowDown"),
    TurnTooLate(),
]


@pytest.mark.parametrize("busy", WHY_BUSY, ids=lambda busy: type(busy).__name__)
def test_whatever_keeps_it_busy_it_says_so_under_one_name(busy: Busy) -> None:
    assert {type(each) for each in WHY_BUSY} == set(Busy.__subclasses__())
    refused = refusal(busy)
    assert (refused.status, refused.type, refused.retry_after) == (503, "Busy", busy.retry_after)


def test_what_should_not_have_happened_is_not_shown_to_the_client() -> None:
    refused = refusal(KeyError("a secret\nand a trace"), "7k2m0000")
    assert (refused.status, refused.type) == (500, "KeyError")
    assert "secret" not in refused.message and "7k2m0000" in refused.message


def test_what_should_not_have_happened_while_loading_is_told_by_its_first_line() -> None:
    assert refusal(OSError("no space\nleft")).message == "OSError: no space"
    assert refusal(OSError()).message == "OSError: no message"
