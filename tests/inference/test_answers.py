"""An answer is under 6 MB, whatever was asked: in a smaller encoding, or not at all."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from making import difference, make_avatar
from PIL import Image

from inference_entrypoint.answers import longest, respond, written
from inference_entrypoint.avatars import Avatar, load_avatar
from inference_entrypoint.encode import read_parameters
from lensa.contract import GenerationRequest, GenerationResponse
from lensa.contract.environment import MAX_ANSWER_BYTES
from lensa.contract.generation import MAX_ANSWER
from lensa.errors import LensaError, TooMuchError

JSON = "application/json"


@pytest.fixture(scope="module")
def avatar(tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    return load_avatar(make_avatar(tmp_path_factory.mktemp("avatar")))


def response(avatar: Avatar, side: int, **fields: Any) -> GenerationResponse:
    """An answer whose pictures are soft noise of a size that would take minutes to draw."""
    request = GenerationRequest(**{"prompt": "x", "seed": 1, "steps": 1, **fields})
    result = avatar.generate(request)
    for position in range(len(result.images)):
        source = np.random.default_rng(position)
        coarse = source.integers(0, 256, (side // 4, side // 4, 3), dtype=np.uint8)
        result.images[position] = Image.fromarray(coarse).resize((side, side), Image.BICUBIC)
    return respond(result, avatar, 1.0)


def test_what_fits_is_sent_as_it_was_asked_for(avatar: Avatar) -> None:
    given = response(avatar, 512, count=4)
    body = written(given, JSON)
    assert GenerationResponse.model_validate_json(body) == given


def test_what_would_be_too_long_comes_as_webp_and_says_so(avatar: Avatar) -> None:
    given = response(avatar, 1024, count=3)
    assert len(given.model_dump_json()) > MAX_ANSWER
    body = written(given, JSON)
    assert len(body) < MAX_ANSWER
    answer = GenerationResponse.model_validate_json(body)
    assert {image.format for image in answer.images} == {"webp"}
    (warning,) = [word for word in answer.warnings if "images are WebP" in word]
    assert "it may have 6" in warning
    for image, other in zip(answer.images, given.images, strict=True):
        with (
            Image.open(BytesIO(image.content())) as one,
            Image.open(BytesIO(other.content())) as two,
        ):
            assert read_parameters(one) == read_parameters(two)
            assert difference(one.resize((32, 32), Image.BOX), two.resize((32, 32), Image.BOX)) < 9
        assert (image.seed, image.index) == (other.seed, other.index)


def test_where_answers_go_through_s3_any_length_will_do(
    avatar: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = response(avatar, 256)
    monkeypatch.setenv(MAX_ANSWER_BYTES, "5000")
    with pytest.raises(TooMuchError, match=r"may have 0\.005"):
        written(given, JSON)
    monkeypatch.setenv(MAX_ANSWER_BYTES, "0")
    assert longest() == float("inf")
    assert GenerationResponse.model_validate_json(written(given, JSON)) == given
    monkeypatch.setenv(MAX_ANSWER_BYTES, "6 MB")
    with pytest.raises(LensaError, match="give a number of bytes"):
        written(given, JSON)


def test_what_is_too_long_even_so_is_refused_with_the_way_out(avatar: Avatar) -> None:
    with pytest.raises(TooMuchError, match=r"index says where to go on.*asynchronous endpoint"):
        written(response(avatar, 512, count=8), JSON, most=300_000)


def test_one_image_alone_may_be_longer_than_as_json_but_no_longer_than_that(
    avatar: Avatar,
) -> None:
    given = response(avatar, 512)
    size = len(given.images[0].content())
    assert len(written(given, "image/png", most=size)) == size
    with pytest.raises(TooMuchError, match="accept image/webp"):
        written(given, "image/png", most=size - 1)
    assert written(given, "image/webp", most=size - 1)[8:12] == b"WEBP"


def test_what_counts_are_bytes(avatar: Avatar) -> None:
    given = response(avatar, 32, count=4, prompt="画" * 300, format="webp")
    text = given.model_dump_json()
    assert len(text) + 1_000 < len(text.encode())
    with pytest.raises(TooMuchError):
        written(given, JSON, most=len(text) + 100)
