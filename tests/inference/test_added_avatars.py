"""Avatars that are added to what runs: drawn as they would be alone, on the base that is there."""

from __future__ import annotations

import io
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aws_image.serving_image import ServingImage, lay_out
from making import config, difference, make_avatar, write_manifest
from many import LORA, id_of
from on_the_shelf import (
    Time,
    address,
    asked,
    many_avatars,
    picture,
    put,
    request,
    shelf_of,
    take_away,
)
from PIL import Image
from serving import Server, ready

from inference_entrypoint import inference
from inference_entrypoint.avatars import Avatar, load_avatar
from inference_entrypoint.batching import Batcher
from inference_entrypoint.library import Library, Replaced
from inference_entrypoint.order import Result
from inference_entrypoint.shelf import AGAIN, FRESH
from inference_entrypoint.shelf_bucket import ShelfError
from inference_entrypoint.statuses import refusal
from lensa.contract import BASES, GenerationResponse
from lensa.contract.environment import AVATARS
from lensa.errors import ArtifactError, ConfigError, NotFoundError
from lensa.testing import SagemakerTwin


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    return many_avatars(tmp_path_factory.mktemp("avatars"), range(1, 4))


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def library(sagemaker_twin: SagemakerTwin, clock: Time, made: dict[int, Path]) -> Library:
    """An endpoint that was deployed with avatar 1."""
    library = Library(shelf=shelf_of(sagemaker_twin, clock), resident=2)
    library.add(made[1])
    return library


def alone(folder: Path) -> bytes:
    return load_avatar(folder).generate(request()).images[0].tobytes()


def test_they_are_drawn_as_if_alone_and_the_base_is_not_loaded_again(
    sagemaker_twin: SagemakerTwin, library: Library, made: dict[int, Path]
) -> None:
    base = library.base.pipeline
    first = picture(library, 1)
    for number in (2, 3):
        with pytest.raises(NotFoundError):
            library.order(request(avatar=id_of(number + 10)))
        put(sagemaker_twin, made[number], id_of(number))
        assert picture(library, number) == alone(made[number])
    assert picture(library, 1) == first == library.generate(request()).images[0].tobytes()
    assert library.base.pipeline is base
    assert library.names() == [id_of(1), id_of(2), id_of(3)]
    assert len(library.loaded()) == 2
    mixed = picture(library, 2, blend={id_of(3): 0.5})
    assert mixed not in (alone(made[2]), alone(made[3]))


def test_what_is_in_the_model_folder_is_not_looked_for_on_the_shelf(
    sagemaker_twin: SagemakerTwin, library: Library
) -> None:
    picture(library, 1)
    assert asked(sagemaker_twin) == 0


def test_what_is_removed_leaves_the_memory_too(
    sagemaker_twin: SagemakerTwin, library: Library, clock: Time, made: dict[int, Path]
) -> None:
    put(sagemaker_twin, made[2], id_of(2))
    picture(library, 2)
    waiting = library.order(request(avatar=id_of(2)))
    take_away(sagemaker_twin, id_of(2))
    picture(library, 2)
    clock.now += FRESH
    with pytest.raises(NotFoundError):
        waiting.make_ready()
    with pytest.raises(NotFoundError):
        picture(library, 2)
    assert library.names() == [id_of(1)] and library.loaded() == []


def test_what_is_removed_leaves_disk_and_memory_when_somebody_asks_for_another(
    sagemaker_twin: SagemakerTwin, library: Library, clock: Time, made: dict[int, Path]
) -> None:
    put(sagemaker_twin, made[2], id_of(2))
    picture(library, 2)
    take_away(sagemaker_twin, id_of(2))
    clock.now += FRESH
    picture(library, 1)
    assert library.names() == library.loaded() == [id_of(1)]


def test_a_role_that_may_not_read_just_now_costs_no_avatar(
    sagemaker_twin: SagemakerTwin, library: Library, clock: Time, made: dict[int, Path]
) -> None:
    put(sagemaker_twin, made[2], id_of(2))
    before = picture(library, 2)
    clock.now += FRESH
    sagemaker_twin.faults.fail("s3:GetObject", "AccessDenied", "Access Denied", times=None)
    with pytest.raises(ShelfError):
        picture(library, 2)
    sagemaker_twin.faults.clear()
    clock.now += AGAIN
    asked(sagemaker_twin)
    assert picture(library, 2) == before
    assert asked(sagemaker_twin) == 1


def test_what_is_replaced_is_loaded_again_and_who_waited_for_the_old_one_asks_again(
    sagemaker_twin: SagemakerTwin,
    library: Library,
    clock: Time,
    made: dict[int, Path],
    tmp_path: Path,
) -> None:
    put(sagemaker_twin, made[2], id_of(2))
    before = picture(library, 2)
    other = Path(shutil.copytree(made[3], tmp_path / "other"))
    write_manifest(other, config(), avatar=id_of(2))
    put(sagemaker_twin, other, id_of(2))
    assert picture(library, 2) == before
    outcomes: list[Result | Exception] = []
    batcher = Batcher(1)
    batcher.add(library.order(request(avatar=id_of(2))), outcomes.append)
    clock.now += FRESH
    batcher.advance()
    assert isinstance(outcomes[0], Replaced) and refusal(outcomes[0]).status == 503
    assert picture(library, 2) == alone(made[3]) != before


def test_those_that_go_from_the_disk_are_fetched_again_when_they_are_asked_for(
    sagemaker_twin: SagemakerTwin, clock: Time, made: dict[int, Path]
) -> None:
    library = Library(shelf=shelf_of(sagemaker_twin, clock, most=1), resident=1)
    library.add(made[1])
    for number in (2, 3):
        put(sagemaker_twin, made[number], id_of(number))
    orders = [library.order(request(avatar=id_of(number))) for number in (2, 3)]
    assert library.names() == [id_of(1), id_of(3)]
    pictures: list[bytes] = []
    batcher = Batcher(4, resident=1)
    for order in orders:
        batcher.add(order, lambda outcome: pictures.append(outcome.images[0].tobytes()))  # type: ignore[union-attr]
    while len(batcher):
        batcher.advance()
    assert pictures == [alone(made[2]), alone(made[3])]


def test_a_copy_that_is_damaged_here_is_fetched_again(
    sagemaker_twin: SagemakerTwin, clock: Time, made: dict[int, Path]
) -> None:
    shelf = shelf_of(sagemaker_twin, clock)
    library = Library(shelf=shelf, resident=1)
    library.add(made[1])
    put(sagemaker_twin, made[2], id_of(2))
    before = picture(library, 2)
    picture(library, 1)  # it is the one that is in memory now
    copy = shelf.fetch(id_of(2)) / LORA
    copy.write_bytes(b"!" * copy.stat().st_size)
    with pytest.raises(ArtifactError, match="was altered"):
        picture(library, 2)
    assert picture(library, 2) == before


def test_who_was_trained_on_another_base_or_has_weights_of_its_own_is_refused_in_words(
    sagemaker_twin: SagemakerTwin, library: Library, made: dict[int, Path], tmp_path: Path
) -> None:
    whole = make_avatar(tmp_path / "whole", method="full")
    write_manifest(whole, config(method="full"), avatar=id_of(8))
    elsewhere = Path(shutil.copytree(made[2], tmp_path / "elsewhere"))
    write_manifest(elsewhere, config(base=BASES["micro"]), avatar=id_of(9), base_revision="other")
    for number, folder, words in (
        (8, whole, "gets an endpoint of its own"),
        (9, elsewhere, "Serve it with the base it was trained on"),
    ):
        shutil.copy(made[2] / LORA, folder / LORA)
        put_flat(sagemaker_twin, folder, number)
        asked(sagemaker_twin)
        with pytest.raises(ConfigError, match=words) as told:
            picture(library, number)
        assert refusal(told.value).status == 400
        assert asked(sagemaker_twin) == 1  # its weights were not
    assert picture(library, 1) == alone(made[1])


def put_flat(twin: SagemakerTwin, folder: Path, number: int) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    put(twin, folder, id_of(number))


def test_a_model_folder_with_one_avatar_takes_others_in_where_there_is_a_shelf(
    sagemaker_twin: SagemakerTwin,
    made: dict[int, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(sagemaker_twin, made[2], id_of(2))
    assert isinstance(inference.model_fn(str(made[1])), Avatar)
    monkeypatch.setenv(AVATARS, address(sagemaker_twin))
    library = inference.model_fn(str(made[1]))
    assert isinstance(library, Library)
    assert picture(library, 2) == alone(made[2])
    whole = make_avatar(tmp_path, method="full")
    assert isinstance(inference.model_fn(str(whole)), Avatar)  # it is alone, shelf or not


@pytest.mark.slow
def test_fifty_avatars_in_random_order_from_eight_threads_and_none_is_mixed_up(
    sagemaker_twin: SagemakerTwin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fifty = many_avatars(tmp_path / "avatars", range(50))
    deployed = tmp_path / "model" / id_of(0)
    shutil.copytree(fifty[0], deployed)
    library = Library()
    expected = {}
    for number, folder in fifty.items():
        library.add(folder)
        expected[number] = library.generate(request(avatar=id_of(number))).images[0]
        if number:
            put(sagemaker_twin, folder, id_of(number))
    monkeypatch.setenv(AVATARS, address(sagemaker_twin))
    order = [*fifty, *range(0, 50, 4)]
    random.Random(7).shuffle(order)
    with Server(tmp_path) as server, server.client() as client:
        assert ready(client).json()["avatar"] == id_of(0)

        def ask(number: int) -> tuple[int, Image.Image]:
            body = request(avatar=id_of(number)).model_dump(mode="json", exclude_defaults=True)
            answer = client.post("/invocations", json=body)
            assert answer.status_code == 200, answer.text
            response = GenerationResponse.model_validate_json(answer.content)
            assert response.avatar == id_of(number)
            with Image.open(io.BytesIO(response.images[0].content())) as opened:
                return number, opened.convert("RGB")

        with ThreadPoolExecutor(8) as pool:
            for number, drawn in pool.map(ask, order):
                assert difference(drawn, expected[number]) <= 1
        unknown = client.post("/invocations", json={"prompt": "x", "avatar": id_of(50)})
        assert unknown.status_code == 400
        assert unknown.json()["error"]["type"] == "NotFoundError"
    pairs = [(one, other) for one in range(50) for other in range(one)]
    assert min(difference(expected[one], expected[other]) for one, other in pairs) > 10


@pytest.mark.slow
def test_awss_image_draws_them_too(
    sagemaker_twin: SagemakerTwin, made: dict[int, Path], tmp_path: Path
) -> None:
    lay_out(tmp_path / "model")
    shutil.copytree(made[1], tmp_path / "model" / id_of(1))
    put(sagemaker_twin, made[2], id_of(2))
    with ServingImage(tmp_path, **{AVATARS: address(sagemaker_twin)}) as image:
        image.listening()
        drawn = {}
        for name in (None, id_of(1), id_of(2), id_of(3)):
            ask = {"prompt": "x", "steps": 2, "seed": 5, "avatar": name}
            drawn[name] = image.client.post("/invocations", json=ask)
        assert [answer.status_code for answer in drawn.values()] == [200, 200, 200, 400]
        pictures = [drawn[name].json()["images"][0]["data"] for name in (None, id_of(1), id_of(2))]
        assert pictures[0] == pictures[1] != pictures[2]
        assert drawn[id_of(3)].json()["error"]["type"] == "NotFoundError"
        take_away(sagemaker_twin, id_of(2))  # noticed within half a minute; until then as it was
        assert image.client.post("/invocations", json=ask | {"avatar": id_of(2)}).status_code == 200
