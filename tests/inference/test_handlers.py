"""The handlers, without a server before them (tests/aws_image has it)."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from making import draw, make_avatar
from many import id_of, numbered
from PIL import Image

from inference_entrypoint import drawer, inference
from inference_entrypoint.artifact import LORA_FILE
from inference_entrypoint.avatars import Avatar
from inference_entrypoint.encode import read_parameters
from inference_entrypoint.library import Library
from lensa.contract import GenerationResponse
from lensa.errors import ArtifactError, ConfigError, NotFoundError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_avatar(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[Avatar]:
    before = {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}
    yield inference.model_fn(str(folder))
    after = {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}
    assert after == before  # the model folder may be read-only


def call(
    model: Avatar | Library, body: bytes | str, accept: str = "application/json"
) -> str | bytes:
    request = inference.input_fn(body, "application/json")
    return inference.output_fn(inference.predict_fn(request, model), accept)


def test_json_in_json_out(model: Avatar) -> None:
    body = b'{"prompt": "as a pirate", "count": 2, "seed": 5, "steps": 3}'
    response = GenerationResponse.model_validate_json(call(model, body))
    assert response.avatar == "lensa-7k2m0000-1f3a9c2e"
    assert (response.request.seed, response.request.width) == (5, 32)
    assert [(image.seed, image.index) for image in response.images] == [(5, 0), (5, 1)]
    expected = draw(model.pipeline, count=2).images
    for image, original in zip(response.images, expected, strict=True):
        with Image.open(BytesIO(image.content())) as picture:
            assert picture.tobytes() == original.tobytes()
            assert (read_parameters(picture) or "").startswith("a photo of ohwx person as a pirate")


def test_the_same_request_gives_the_same_bytes(model: Avatar) -> None:
    body = '{"prompt": "as a pirate", "count": 2, "seed": 5, "steps": 3, "format": "webp"}'
    first = GenerationResponse.model_validate_json(call(model, body))
    second = GenerationResponse.model_validate_json(call(model, body))
    assert first.images == second.images


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_one_image_by_accept(model: Avatar, format: str) -> None:
    body = '{"prompt": "as a pirate", "seed": 5, "steps": 3}'
    content = call(model, body, f"image/{format};q=0.9, */*")
    assert isinstance(content, bytes)
    with Image.open(BytesIO(content)) as picture:
        assert picture.format == format.upper()
        assert "Seed: 5" in (read_parameters(picture) or "")
        if format == "png":  # the others lose something
            assert picture.tobytes() == draw(model.pipeline).images[0].tobytes()


@pytest.mark.parametrize(
    ("body", "accept", "words"),
    [
        ("{", "*/*", "Invalid JSON"),
        ("", "*/*", "Invalid JSON"),
        ("[]", "*/*", "valid dictionary"),
        ('{"prompt": "x", "widht": 64}', "*/*", "unknown field 'widht'. Did you mean 'width'"),
        ('{"prompt": "x", "steps": 1, "count": 2}', "image/png", "holds one image"),
        ('{"prompt": "x", "steps": 1}', "text/html", "cannot be answered"),
    ],
)
def test_bad_input(model: Avatar, body: str, accept: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        call(model, body, accept)


def test_another_content_type_is_refused() -> None:
    with pytest.raises(ConfigError, match="send application/json, not 'text/csv'"):
        inference.input_fn(b"a,b", "text/csv")


def test_a_folder_of_avatars_is_served_by_name_and_a_damaged_one_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2, 3):
        numbered(tmp_path / f"avatar-{number}", number)
    (tmp_path / "avatar-3" / "avatar.json").write_text("{")
    library = inference.model_fn(str(tmp_path))
    assert "avatar-3" in caplog.text
    answers = {
        number: GenerationResponse.model_validate_json(
            call(library, f'{{"prompt": "me", "seed": 5, "steps": 2, "avatar": "{id_of(number)}"}}')
        )
        for number in (2, 1)
    }
    assert [answers[number].avatar for number in (1, 2)] == [id_of(1), id_of(2)]
    assert answers[1].images[0].data != answers[2].images[0].data
    with Image.open(BytesIO(answers[2].images[0].content())) as picture:
        assert f"Avatar: {id_of(2)}" in (read_parameters(picture) or "")
    first = GenerationResponse.model_validate_json(call(library, '{"prompt": "me", "steps": 2}'))
    assert first.avatar == id_of(1)
    with pytest.raises(NotFoundError, match="No avatar"):
        call(library, f'{{"prompt": "me", "avatar": "{id_of(3)}"}}')


def test_a_server_is_ready_though_the_first_of_its_avatars_is_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2):
        numbered(tmp_path / f"avatar-{number}", number)
    weights = tmp_path / "avatar-1" / LORA_FILE
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    library = drawer.load([tmp_path])
    assert library.names() == [id_of(2)] and "was altered" in caplog.text
    weights = tmp_path / "avatar-2" / LORA_FILE
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    with pytest.raises(ArtifactError, match="was altered"):
        drawer.load([tmp_path])
