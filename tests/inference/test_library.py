"""Many avatars through one process: the right one draws, the others take no memory."""

from __future__ import annotations

import gc
import shutil
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from making import config, make_avatar, write_manifest
from many import LORA, id_of, numbered, renumber

from inference_entrypoint.avatars import load_avatar
from inference_entrypoint.library import Library
from lensa.contract import BASES, GenerationRequest
from lensa.errors import ArtifactError, ConfigError, NotFoundError

TEXT: dict[str, Any] = {"train_text_encoder": True, "lora_rank": 2, "lora_alpha": 8, "token": "zwx"}


def request(**fields: Any) -> GenerationRequest:
    return GenerationRequest(prompt="as a pirate", **{"steps": 2, "seed": 5, **fields})


def picture(library: Library, number: int, **fields: Any) -> bytes:
    return library.generate(request(avatar=id_of(number), **fields)).images[0].tobytes()


def shelf(folder: Path, *kinds: dict[str, Any], **options: Any) -> Library:
    """A library of avatars 0, 1, ..., each with changes to its TrainingConfig."""
    library = Library(**options)
    for number, kind in enumerate(kinds):
        assert library.add(numbered(folder / str(number), number, **kind)) == id_of(number)
    return library


def test_each_draws_as_it_does_alone(tmp_path: Path) -> None:
    kinds = [{}, TEXT, {"lora_rank": 7}]
    library = shelf(tmp_path, *kinds, resident=2)
    assert library.names() == [id_of(0), id_of(1), id_of(2)]
    for number in (0, 1, 2, 1, 0):
        alone = load_avatar(tmp_path / str(number)).generate(request())
        beside = library.generate(request(avatar=id_of(number)))
        assert beside.images[0].tobytes() == alone.images[0].tobytes()
        assert beside.prompts == alone.prompts  # each with its own token
        assert beside.request.avatar == id_of(number)
    assert len({picture(library, number) for number in range(3)}) == 3


def test_a_request_without_an_avatar_gets_the_first(tmp_path: Path) -> None:
    library = shelf(tmp_path, {}, {})
    result = library.generate(request())
    assert result.request.avatar == library.name == id_of(0)
    assert result.images[0].tobytes() == picture(library, 0)
    with pytest.raises(NotFoundError, match="holds no avatar yet"):
        Library().generate(request())


def test_the_least_recently_used_one_goes(tmp_path: Path) -> None:
    library = shelf(tmp_path, {}, {}, {}, {}, resident=3)
    assert library.loaded() == []  # nothing is read before it is needed
    for number in (0, 1, 2, 0, 3):
        library.get(id_of(number))
    assert library.loaded() == [id_of(2), id_of(0), id_of(3)]
    with pytest.raises(ConfigError, match="at least 1"):
        Library(resident=0)


def test_scales_and_blends(tmp_path: Path) -> None:
    library = shelf(tmp_path, {}, TEXT, {}, resident=2)
    plain, other = picture(library, 0), id_of(1)
    half = picture(library, 0, adapter_scale=0.5)
    mixed = picture(library, 0, blend={other: 0.5})
    assert len({plain, half, mixed, picture(library, 1)}) == 4
    assert picture(library, 0, blend={other: 0.0}) == plain
    assert picture(library, 2) and library.loaded() == [id_of(0), id_of(2)]
    assert picture(library, 0, blend={other: 0.5}) == mixed  # who is mixed in is loaded again
    with pytest.raises(ConfigError, match=r"blend asks for 3 avatars at once, and 2 stay"):
        picture(library, 0, blend={other: 0.5, id_of(2): 0.5})
    with pytest.raises(ConfigError, match="into itself"):
        library.generate(request(blend={id_of(0): 0.5}))


@pytest.mark.slow
def test_two_hundred_pass_through_and_memory_stays_flat(tmp_path: Path) -> None:
    big = {"lora_rank": 64}  # half a megabyte each: all of them would be seen
    make_avatar(tmp_path / "0", **big)
    library = Library(resident=4)
    library.add(renumber(tmp_path / "0", 0, **big))
    for number in range(1, 200):
        shutil.copytree(tmp_path / "0", tmp_path / str(number))
        library.add(renumber(tmp_path / str(number), number, **big))
    first, process = picture(library, 0), psutil.Process()
    resident: dict[int, int] = {}
    for number in range(200):
        library.get(id_of(number))
        if number % 40 == 39:
            picture(library, number, steps=1)
            gc.collect()
            resident[number] = process.memory_info().rss
    assert resident[199] - resident[39] < 5_000_000
    assert picture(library, 0) == first
    assert library.loaded() == [id_of(number) for number in (197, 198, 199, 0)]
    names = {name for name, _ in library.base.pipeline.unet.named_parameters()}
    assert len({name.split(".")[-2] for name in names if "lora_A" in name}) == 4


def test_an_unknown_avatar_is_told_and_nothing_is_loaded(tmp_path: Path) -> None:
    library = shelf(tmp_path, {}, {})
    near = id_of(1)[:-1] + "2"
    with pytest.raises(NotFoundError, match=rf"No avatar '{near}' is here. Did you mean"):
        library.generate(request(avatar=near))
    with pytest.raises(NotFoundError, match="No avatar"):
        library.generate(request(blend={near: 1.0}))
    assert library.loaded() == []


@pytest.mark.parametrize(
    "name", ["../0", "0", "/etc/passwd", "s3://bucket/key", "", "a" * 1_000_000, "\x00"], ids=len
)
def test_a_name_is_never_a_path(tmp_path: Path, name: str) -> None:
    library = shelf(tmp_path, {})
    with pytest.raises(NotFoundError) as error:
        library.get(name)
    assert len(str(error.value)) < 300
    with pytest.raises(ConfigError, match="avatar"):
        request(avatar=name)


def test_an_id_that_is_none_is_refused(tmp_path: Path) -> None:
    make_avatar(tmp_path)
    for name in ("../ada", "ada.0", "subject"):
        write_manifest(tmp_path, config(), avatar=name)
        with pytest.raises(ArtifactError, match="is no id"):
            Library().add(tmp_path)


def test_a_full_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="gets an endpoint of its own"):
        Library().add(make_avatar(tmp_path, method="full"))


def test_another_base_is_refused_by_both_names(tmp_path: Path) -> None:
    library = shelf(tmp_path, {})
    make_avatar(tmp_path / "old")
    write_manifest(tmp_path / "old", config(), base_revision="micro-0")
    words = r"trained on micro at revision micro-0, and this is micro at revision micro-1"
    with pytest.raises(ArtifactError, match=words):
        library.add(tmp_path / "old")
    write_manifest(tmp_path / "old", config(base=BASES["mini"]), base_revision="mini-9")
    words = r"trained on mini at revision mini-9, and this is micro at revision micro-1"
    for kept in (library, Library(BASES["micro"])):
        with pytest.raises(ArtifactError, match=words):
            kept.add(tmp_path / "old")
    assert library.names() == [id_of(0)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"!"), "was altered"),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "has 100 bytes"),
        (lambda path: path.unlink(), "cannot be read"),
    ],
    ids=["altered", "cut off", "gone"],
)
def test_a_file_that_changed_since_is_refused(tmp_path: Path, change: Any, words: str) -> None:
    library = shelf(tmp_path, {}, {}, resident=1)
    first = picture(library, 0)
    change(tmp_path / "1" / LORA)
    with pytest.raises(ArtifactError, match=words):
        picture(library, 1)
    assert picture(library, 0) == first  # the others go on


def test_an_avatar_that_comes_again_replaces_itself(tmp_path: Path) -> None:
    library = shelf(tmp_path, {})
    before = picture(library, 0)
    numbered(tmp_path / "new", 7)
    write_manifest(tmp_path / "new", config(), avatar=id_of(0))
    library.add(tmp_path / "new")
    assert library.names() == [id_of(0)]
    assert picture(library, 0) != before


def test_half_precision(tmp_path: Path) -> None:
    library = shelf(tmp_path, {}, TEXT, dtype=torch.bfloat16)
    assert picture(library, 0) != picture(library, 1)
    parameters = library.base.pipeline.unet.parameters()
    assert {parameter.dtype for parameter in parameters} == {torch.bfloat16}
