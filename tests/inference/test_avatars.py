"""Avatars from their folders: what was trained is what is drawn, and nothing else is accepted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from making import config, difference, draw, make_avatar, micro, train_a_little, write_manifest
from safetensors.torch import load_file, save_file
from test_safety import checker

from inference_entrypoint.avatars import Base, load_avatar
from inference_entrypoint.safety import blurred
from lensa.contract import BASES, MANIFEST, GenerationRequest
from lensa.errors import ArtifactError, BaseModelError, ConfigError

LORA = "pytorch_lora_weights.safetensors"
KINDS: list[dict[str, Any]] = [
    {},
    {"train_text_encoder": True, "lora_alpha": 8},
    {"method": "full"},
    {"method": "full", "train_text_encoder": True},
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_loaded_avatar_draws_what_the_live_model_drew(tmp_path: Path, kind: Any) -> None:
    live = draw(train_a_little(config(**kind)))
    avatar = load_avatar(make_avatar(tmp_path, **kind))
    loaded = draw(avatar.pipeline)
    assert loaded.images[0].tobytes() == live.images[0].tobytes()
    assert difference(loaded.images[0], draw(micro()).images[0]) > 20
    assert not any(p.requires_grad for p in avatar.pipeline.unet.parameters())


def test_the_subject_comes_from_the_manifest(tmp_path: Path) -> None:
    avatar = load_avatar(make_avatar(tmp_path, token="zwx", class_noun="dog"))
    result = avatar.generate(GenerationRequest(prompt="in snow", steps=1))
    assert result.prompts == ["a photo of zwx dog in snow"]
    expanded = avatar.generate(GenerationRequest(prompt="in snow", steps=1, seed=1, expand=True))
    assert expanded.prompts[0].startswith("a photo of zwx dog in snow")
    assert expanded.prompts != result.prompts


def test_half_precision(tmp_path: Path) -> None:
    avatar = load_avatar(make_avatar(tmp_path), dtype=torch.bfloat16)
    assert {p.dtype for p in avatar.pipeline.unet.parameters()} == {torch.bfloat16}
    assert draw(avatar.pipeline).images


@pytest.mark.parametrize("kind", KINDS[:2], ids=str)
def test_adapter_scale(tmp_path: Path, kind: Any) -> None:
    pipeline = load_avatar(make_avatar(tmp_path, **kind)).pipeline
    base = draw(micro()).images[0]
    whole = draw(pipeline).images[0]
    assert draw(pipeline, adapter_scale=0).images[0].tobytes() == base.tobytes()
    half = draw(pipeline, adapter_scale=0.5).images[0]
    assert half.tobytes() not in (base.tobytes(), whole.tobytes())
    assert draw(pipeline).images[0].tobytes() == whole.tobytes()  # nothing is left of the scales


def test_adapter_scale_of_a_full_model_has_no_effect_and_says_so(tmp_path: Path) -> None:
    pipeline = load_avatar(make_avatar(tmp_path, method="full")).pipeline
    assert draw(pipeline).warnings == []
    assert "no effect" in draw(pipeline, adapter_scale=0.5).warnings[0]


def spoil(folder: Path, change: Any, **fields: Any) -> None:
    """Change the LoRA's tensors and vouch for the result."""
    tensors = load_file(folder / LORA)
    change(tensors)
    save_file(tensors, folder / LORA, metadata={"format": "pt"})
    write_manifest(folder, config(**fields))


def test_a_key_too_few(tmp_path: Path) -> None:
    make_avatar(tmp_path)
    spoil(tmp_path, lambda tensors: tensors.pop(sorted(tensors)[0]))
    with pytest.raises(ArtifactError, match=f"{LORA} does not fit.*1 weights are missing"):
        load_avatar(tmp_path)


def test_a_whole_layer_too_few(tmp_path: Path) -> None:
    # Without it there is no key left that would tell: only the base and the recipe know.
    make_avatar(tmp_path)

    def drop(tensors: dict[str, Any]) -> None:
        layer = sorted(tensors)[0].split(".lora_")[0]
        for name in [name for name in tensors if name.startswith(layer)]:
            del tensors[name]

    spoil(tmp_path, drop)
    with pytest.raises(ArtifactError, match="2 weights are missing"):
        load_avatar(tmp_path)


def test_a_key_too_many(tmp_path: Path) -> None:
    make_avatar(tmp_path)
    spoil(tmp_path, lambda tensors: tensors.update({"unet.nowhere.lora_A.weight": torch.ones(1)}))
    with pytest.raises(ArtifactError, match=r"1 weights belong to no layer.*unet.nowhere"):
        load_avatar(tmp_path)


def test_a_text_encoder_that_was_not_trained(tmp_path: Path) -> None:
    make_avatar(tmp_path, train_text_encoder=True)
    write_manifest(tmp_path, config())
    with pytest.raises(ArtifactError, match=r"belong to no layer.*text_encoder"):
        load_avatar(tmp_path)


def test_another_rank(tmp_path: Path) -> None:
    make_avatar(tmp_path)
    write_manifest(tmp_path, config(lora_rank=8))
    with pytest.raises(ArtifactError, match=r"another shape.*\(4, 16\) instead of \(8, 16\)"):
        load_avatar(tmp_path)


def test_another_alpha(tmp_path: Path) -> None:
    make_avatar(tmp_path, lora_alpha=8)
    spoil(tmp_path, lambda tensors: None, lora_alpha=8)  # its metadata is lost
    with pytest.raises(ArtifactError, match="is scaled by 1, trained with 2"):
        load_avatar(tmp_path)


def test_a_full_model_of_another_shape(tmp_path: Path) -> None:
    make_avatar(tmp_path, method="full")
    path = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    tensors["conv_in.bias"] = torch.zeros(99)
    save_file(tensors, path, metadata={"format": "pt"})
    write_manifest(tmp_path, config(method="full"))
    with pytest.raises(ArtifactError, match=r"unet/ does not fit its base model.*conv_in.bias"):
        load_avatar(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"!"), f"{LORA} .*was altered"),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), f"{LORA} .*has 100 bytes"),
        (lambda path: path.unlink(), f"{LORA} .*cannot be read: No such file"),
    ],
    ids=["altered", "cut off", "gone"],
)
def test_a_file_that_is_not_what_it_was(tmp_path: Path, change: Any, words: str) -> None:
    change(make_avatar(tmp_path) / LORA)
    with pytest.raises(ArtifactError, match=words):
        load_avatar(tmp_path)


def test_a_file_that_the_manifest_does_not_vouch_for_is_not_loaded(tmp_path: Path) -> None:
    make_avatar(tmp_path)
    write_manifest(tmp_path, config(), files=())
    with pytest.raises(ArtifactError, match=f"no {LORA} in its manifest"):
        load_avatar(tmp_path)


def test_another_revision_of_the_base(tmp_path: Path) -> None:
    make_avatar(tmp_path)
    write_manifest(tmp_path, config(), base_revision="micro-0")
    with pytest.raises(ArtifactError, match=r"trained on micro at revision micro-0.*is micro-1"):
        load_avatar(tmp_path)


def test_a_manifest_that_is_missing_broken_or_of_the_future(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=f"holds no avatar: {MANIFEST}"):
        load_avatar(tmp_path)
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_avatar(tmp_path)
    make_avatar(tmp_path)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    for name, value, words in [("format", 2, "newer lensa"), ("avatar", 7, "avatar = 7")]:
        (tmp_path / MANIFEST).write_text(json.dumps({**manifest, name: value}))
        with pytest.raises(ArtifactError, match=words):
            load_avatar(tmp_path)


def test_an_avatar_that_is_alone_says_so(tmp_path: Path) -> None:
    avatar, other = load_avatar(make_avatar(tmp_path)), "lensa-7k2m0000-00000001"
    assert avatar.generate(GenerationRequest(prompt="", steps=1, avatar=avatar.name)).images
    with pytest.raises(ConfigError, match=rf"avatar = '{other}', and this is '{avatar.name}'"):
        avatar.generate(GenerationRequest(prompt="", steps=1, avatar=other))
    with pytest.raises(ConfigError, match=rf"blend names {other}, and '{avatar.name}' is alone"):
        avatar.generate(GenerationRequest(prompt="", steps=1, blend={other: 0.5}))


def test_safety_that_is_asked_for_where_there_is_no_checker(tmp_path: Path) -> None:
    avatar = load_avatar(make_avatar(tmp_path))
    with pytest.raises(ConfigError, match="base micro has no safety checker"):
        avatar.generate(GenerationRequest(prompt="", steps=1, safety=True))


def guarded(tmp_path: Path, threshold: float) -> dict[str, Any]:
    """Changes to a TrainingConfig: a base with a checker. -2 flags every image, 2 none."""
    checker(threshold).model.save_pretrained(tmp_path / "checker")
    ref = BASES["micro"].model_copy(update={"safety_checker": str(tmp_path / "checker")})
    return {"base": ref}


def test_people_are_checked_unless_the_request_says_no(tmp_path: Path) -> None:
    kind = guarded(tmp_path, -2)
    person = load_avatar(make_avatar(tmp_path / "person", **kind))
    request = GenerationRequest(prompt="", steps=1, seed=1, count=2)
    plain = person.generate(request.model_copy(update={"safety": False}))
    assert plain.unsafe == [False, False]
    seen = person.generate(request)
    assert seen.unsafe == [True, True]
    assert [image.tobytes() for image in seen.images] == [
        blurred(image).tobytes() for image in plain.images
    ]
    pet = load_avatar(make_avatar(tmp_path / "pet", kind="pet", **kind))
    assert pet.generate(request).unsafe == [False, False]
    assert pet.generate(request.model_copy(update={"safety": True})).unsafe == [True, True]


def test_a_checker_that_sees_nothing_changes_nothing(tmp_path: Path) -> None:
    avatar = load_avatar(make_avatar(tmp_path / "avatar", **guarded(tmp_path, 2)))
    request = GenerationRequest(prompt="", steps=1, seed=1)
    checked, plain = (
        avatar.generate(request.model_copy(update={"safety": safety})) for safety in (None, False)
    )
    assert checked.images[0].tobytes() == plain.images[0].tobytes()
    assert checked.unsafe == [False]


def test_a_mirror_of_the_base_may_hold_the_checker(tmp_path: Path) -> None:
    checker(-2).model.save_pretrained(tmp_path / "safety_checker")
    ref = BASES["micro"].model_copy(update={"safety_checker": "nobody/nowhere"})
    mirrored = Base(ref, micro(), tmp_path).checker
    assert mirrored is not None and mirrored.unsafe([draw(micro()).images[0]]) == [True]
    with pytest.raises(BaseModelError, match="nobody/nowhere"):
        _ = Base(ref, micro()).checker
