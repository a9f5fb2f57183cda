"""The safety checker: diffusers' verdicts, taken as a flag and never as a black image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from fake_hub import fake_hub
from PIL import Image
from transformers import CLIPConfig
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from inference_entrypoint.safety import SafetyChecker, blurred, checked, load_checker
from lensa.errors import BaseModelError, LensaError

CPU: dict[str, Any] = {"device": "cpu", "dtype": torch.float32}
SIDE = 32


def tiny_model(seed: int = 0) -> StableDiffusionSafetyChecker:
    """A checker that looks at 32 px through random eyes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
        vision = {**size, "num_attention_heads": 2, "image_size": SIDE, "patch_size": 8}
        text = {**size, "num_attention_heads": 2, "vocab_size": 64}
        model = StableDiffusionSafetyChecker(
            CLIPConfig(vision_config=vision, text_config=text, projection_dim=8)
        )
        for name in ("concept_embeds", "special_care_embeds"):
            getattr(model, name).data.normal_()
    return model.eval()


def checker(threshold: float, seed: int = 0) -> SafetyChecker:
    """2 flags nothing, -2 everything: a cosine lies between them."""
    model = tiny_model(seed)
    model.concept_embeds_weights.data.fill_(threshold)
    model.special_care_embeds_weights.data.fill_(2)
    return SafetyChecker(model)


def noise(seed: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    source = np.random.default_rng(seed)
    coarse = Image.fromarray(source.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)


def a_checker_that_minds(bad: Image.Image, *others: Image.Image) -> SafetyChecker:
    """Flags these images and no other: its concepts are what they look like to it."""
    model = tiny_model()
    helper = SafetyChecker(model)
    pixels = torch.stack([helper._pixels(image) for image in (bad, *others)])
    with torch.no_grad():
        seen = model.visual_projection(model.vision_model(pixels)[1])
    model.concept_embeds.data[:] = seen[0]
    model.concept_embeds.data[: len(seen)] = seen
    model.concept_embeds_weights.data.fill_(0.998)
    model.special_care_embeds_weights.data.fill_(2)
    return helper


@pytest.mark.parametrize("size", [(32, 32), (64, 48), (33, 61), (20, 90)], ids=str)
def test_it_looks_at_what_clip_looks_at(size: tuple[int, int]) -> None:
    image = noise(0, size)
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SIDE)
    expected = processor(images=[image], return_tensors="pt").pixel_values[0]
    torch.testing.assert_close(checker(0)._pixels(image), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("seed", range(4))
def test_its_flags_are_those_of_diffusers(seed: int) -> None:
    model = tiny_model(seed)
    mine = SafetyChecker(model)
    images = [noise(number) for number in range(40)]
    pixels = torch.stack([mine._pixels(image) for image in images])
    with torch.no_grad():
        seen = torch.nn.functional.normalize(model.visual_projection(model.vision_model(pixels)[1]))
    for concepts, thresholds, share in (
        (model.concept_embeds, model.concept_embeds_weights, 0.95),
        (model.special_care_embeds, model.special_care_embeds_weights, 0.8),
    ):
        cosines = seen @ torch.nn.functional.normalize(concepts).T
        thresholds.data[:] = cosines.quantile(share, dim=0)
    _, theirs = model(clip_input=pixels, images=[np.zeros(1) for _ in images])
    assert mine.unsafe(images) == theirs
    assert 0 < sum(theirs) < len(images)


def test_the_three_special_ones_make_the_others_stricter() -> None:
    model = tiny_model()
    images = [noise(number) for number in range(20)]
    mine = SafetyChecker(model)
    pixels = torch.stack([mine._pixels(image) for image in images])
    with torch.no_grad():
        seen = torch.nn.functional.normalize(model.visual_projection(model.vision_model(pixels)[1]))
    concept = torch.nn.functional.normalize(model.concept_embeds[0], dim=0)
    model.concept_embeds.data[:] = concept
    model.concept_embeds_weights.data.fill_(float((seen @ concept).max()) + 0.005)
    model.special_care_embeds_weights.data.fill_(2)
    assert not any(mine.unsafe(images))
    model.special_care_embeds_weights.data.fill_(-2)
    assert any(mine.unsafe(images))


def test_no_images_no_flags_and_no_picture_is_touched() -> None:
    image = noise(0)
    before = image.tobytes()
    assert checker(-2).unsafe([]) == []
    assert checker(-2).unsafe([image] * 9) == [True] * 9  # more than one batch
    assert checker(2).unsafe([image, noise(1)]) == [False, False]
    assert image.tobytes() == before


def test_what_is_safe_is_left_alone() -> None:
    images = [noise(0), noise(1)]

    def redraw(positions: list[int]) -> list[Image.Image]:
        raise AssertionError("nothing is to be drawn again")

    result, unsafe, redrawn = checked(images, checker(2), redraw)
    assert [a is b for a, b in zip(result, images, strict=True)] == [True, True]
    assert (unsafe, redrawn) == ([False, False], [False, False])


def test_a_flagged_image_is_drawn_once_more() -> None:
    bad, good, other = noise(0), noise(1), noise(2)
    mind = a_checker_that_minds(bad)
    asked: list[list[int]] = []

    def redraw(positions: list[int]) -> list[Image.Image]:
        asked.append(positions)
        return [other for _ in positions]

    result, unsafe, redrawn = checked([good, bad, good], mind, redraw)
    assert asked == [[1]]
    assert result[1] is other and result[0] is result[2] is good
    assert (unsafe, redrawn) == ([False] * 3, [False, True, False])


def test_what_is_flagged_twice_is_blurred_and_the_batch_survives() -> None:
    bad, worse, good = noise(0), noise(3), noise(1)
    mind = a_checker_that_minds(bad, worse)
    result, unsafe, redrawn = checked([bad, good, bad], mind, lambda which: [worse, noise(2)])
    assert result[0].tobytes() == blurred(bad).tobytes() and result[0].size == bad.size
    assert result[1] is good and result[2].tobytes() == noise(2).tobytes()
    assert (unsafe, redrawn) == ([True, False, False], [False, False, True])


def test_a_second_try_that_fails_loses_nothing() -> None:
    def redraw(positions: list[int]) -> list[Image.Image]:
        raise LensaError("The model yielded NaN instead of a picture.")

    bad, good = noise(0), noise(1)
    result, unsafe, redrawn = checked([bad, good], a_checker_that_minds(bad), redraw)
    assert result[0].tobytes() == blurred(bad).tobytes()
    assert (unsafe, redrawn) == ([True, False], [False, False])


def test_nothing_is_recognisable_in_what_is_blurred() -> None:
    # A page of print, 240 px, whose letters differ: blurred, all such pages look alike.
    source = np.random.default_rng(0)
    pages = [
        Image.fromarray(np.kron(source.integers(0, 2, (120, 120)), np.ones((2, 2))).astype(bool))
        for _ in range(2)
    ]
    one, other = (np.asarray(blurred(page.convert("RGB")), dtype=int) for page in pages)
    assert one.shape == (240, 240, 3)
    assert np.abs(one - other).max() < 40  # of 255 before
    steps = np.abs(np.diff(one, axis=0)).max()
    assert steps <= 2  # nowhere is there an edge
    assert blurred(Image.new("RGB", (16, 2048), "red")).size == (16, 2048)


def test_none_is_none_and_a_folder_is_a_checker(tmp_path: Path) -> None:
    assert load_checker(None, **CPU) is None
    tiny_model().save_pretrained(tmp_path)
    loaded = load_checker(str(tmp_path), **CPU)
    assert loaded is not None
    images = [noise(number) for number in range(10)]
    pixels = torch.stack([loaded._pixels(image) for image in images])
    _, theirs = tiny_model()(clip_input=pixels, images=[np.zeros(1) for _ in images])
    assert loaded.unsafe(images) == theirs
    half = load_checker(str(tmp_path), device="cpu", dtype=torch.bfloat16)
    assert half is not None and half.unsafe(images[:1]) in ([True], [False])
    assert half.model.visual_projection.weight.dtype == torch.bfloat16


def test_a_folder_that_is_no_checker_or_half_of_one(tmp_path: Path) -> None:
    hint = "Or ask with safety=false"
    with pytest.raises(BaseModelError, match=hint):
        load_checker(str(tmp_path), **CPU)
    tiny_model().save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    with pytest.raises(BaseModelError, match=hint):
        load_checker(str(tmp_path), **CPU)
    weights.write_bytes(whole)
    settings["vision_config"]["num_hidden_layers"] = 3
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(BaseModelError, match=r"layers\.2.* is missing.*safety=false"):
        load_checker(str(tmp_path), **CPU)
    weights.unlink()
    torch.save(tiny_model().state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(BaseModelError, match=hint):  # a pickle is no checker
        load_checker(str(tmp_path), **CPU)


def test_from_the_hub_and_from_a_folder_of_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_model().save_pretrained(tmp_path / "plain")
    tiny_model().save_pretrained(tmp_path / "whole" / "safety_checker")
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "config.json").write_text("{}")
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"no")
    with fake_hub(tmp_path / "cache", monkeypatch) as hub:
        for name in ("plain", "whole", "pickled"):
            hub.folders[f"some/{name}"] = tmp_path / name
        for ref in ("some/plain", "some/whole/safety_checker"):
            loaded = load_checker(ref, **CPU)
            assert loaded is not None and loaded.unsafe([noise(0)]) in ([True], [False])
        with pytest.raises(BaseModelError, match=r"in safetensors.*safety=false"):
            load_checker("some/pickled", **CPU)
        with pytest.raises(BaseModelError, match=r"is not on the hub.*safety=false"):
            load_checker("some/other", **CPU)
        assert "pytorch_model.bin" not in hub.fetched


def test_without_a_connection_it_says_what_to_do() -> None:
    with pytest.raises(BaseModelError, match=r"cannot be reached.*safety=false"):
        load_checker("some/checker", **CPU)


def test_the_global_random_state_stays_as_it_is(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    before = torch.get_rng_state()
    loaded = load_checker(str(tmp_path), **CPU)
    assert loaded is not None
    loaded.unsafe([noise(0)])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_gpu_that_is_full_for_the_second_try_costs_no_image() -> None:
    def redraw(positions: list[int]) -> list[Image.Image]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    images, unsafe, redrawn = checked([noise(1), noise(2)], checker(-2), redraw)
    assert len(images) == 2 and unsafe == [True, True] and redrawn == [False, False]
