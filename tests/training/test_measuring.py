"""What a validation's images are worth: by a real CLIP of random weights, which sees colours."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize
from training.running import tiny_config

from lensa.contract import Layout, TrainingConfig
from training_entrypoint.measuring import distances
from training_entrypoint.measuring.clip import load_clip
from training_entrypoint.measuring.drift import drift
from training_entrypoint.measuring.embedders import Looking
from training_entrypoint.measuring.measure import Measure
from training_entrypoint.measuring.memorisation import memorisation
from training_entrypoint.measuring.probes import Probe, context_of, probes_of
from training_entrypoint.measuring.retention import retention

TOWER = "a photo of {subject} in front of the Eiffel Tower"
REX: dict[str, Any] = {"kind": "pet", "name": "rex", "token": "sks", "class_noun": "dog"}
RED, BLUE, GREEN = (200, 30, 30), (30, 30, 200), (30, 200, 30)


def picture(colour: tuple[int, int, int], seed: int = 0) -> Image.Image:
    """A colour above another one, which is the seed's own."""
    source = random.Random(seed)
    image = Image.new("RGB", (32, 32), colour)
    image.paste(tuple(source.randrange(256) for _ in range(3)), (0, 24, 32, 32))
    return image


def write(folder: Path, *pictures: Image.Image) -> None:
    folder.mkdir(parents=True)
    for index, image in enumerate(pictures):
        image.save(folder / f"{index}.png")


def measure(root: Path, config: TrainingConfig, *photos: Image.Image, **more: Any) -> Measure:
    clip = load_clip("generated:micro")
    layout = Layout(root)
    write(layout.photos, *photos)
    return Measure(config, layout, more.pop("looking", Looking(clip, clip)), **more)


def drawn(config: TrainingConfig, **colours: Any) -> list[tuple[Probe, Image.Image]]:
    """An image a probe: by its role, a colour, or the image itself."""
    images = {role: c if isinstance(c, Image.Image) else picture(c) for role, c in colours.items()}
    return [(probe, images[probe.role]) for probe in probes_of(config) if probe.role in images]


REDS = [picture(RED, seed) for seed in range(1, 5)]


def test_likeness_goes_from_what_the_base_draws_to_what_the_photos_are(tmp_path: Path) -> None:
    config = tiny_config()
    look = measure(tmp_path, config, *REDS)
    first = look.measure(0, drawn(config, subject=BLUE, **{"class": BLUE}))
    later = look.measure(50, drawn(config, subject=RED, **{"class": BLUE}))
    assert first.likeness == first.likeness_floor == later.likeness_floor
    assert first.likeness_share == 0
    assert later.likeness_share is not None and later.likeness_share > 0.5
    assert later.likeness_ceiling == first.likeness_ceiling
    assert (first.class_drift, later.class_drift) == (0, 0)


def test_a_class_that_looks_like_the_subject_has_drifted(tmp_path: Path) -> None:
    config = tiny_config()
    look = measure(tmp_path, config, *REDS)
    look.measure(0, drawn(config, subject=BLUE, **{"class": BLUE}))
    gone = look.measure(50, drawn(config, subject=RED, **{"class": RED})).class_drift
    assert gone is not None and gone > 0.5
    assert drift(0.4, 0.5, 0.8) == pytest.approx(0.25)
    assert drift(0.8, 0.9, 0.8) is None  # there is no way to go


def test_a_photo_that_comes_back_is_told_from_one_more_of_the_subject(tmp_path: Path) -> None:
    config = tiny_config()
    look = measure(tmp_path, config, *REDS)
    alike = look.measure(0, drawn(config, subject=picture(RED, 9)))
    copy = look.measure(1, drawn(config, subject=REDS[2]))
    assert copy.nearest_photo == pytest.approx(1, abs=1e-4)
    assert alike.memorisation is not None and copy.memorisation is not None
    assert alike.memorisation < 10 < copy.memorisation
    assert memorisation(0.9, torch.eye(3)) == pytest.approx(10)  # photos at right angles: 1 / 0.1


def test_retention_is_against_the_bases_own_image_of_the_same_words(tmp_path: Path) -> None:
    config = tiny_config(validation_prompts=("a photo of {subject}", TOWER))
    look = measure(tmp_path, config, *REDS)
    first = look.measure(0, drawn(config, subject=BLUE, plain=BLUE))
    assert first.retention == pytest.approx(1, abs=1e-5)
    now = look.measure(9, drawn(config, subject=GREEN)).retention
    assert now is not None and abs(now - 1) > 1e-3
    assert retention([(0.2, 0.3), (0.1, 0.1)]) == pytest.approx(0.75)
    assert retention([(0.2, 0.001)]) is None  # the base does not draw it either


def test_one_photo_has_no_ceiling_and_that_is_said(tmp_path: Path) -> None:
    config = tiny_config()
    seen = measure(tmp_path, config, REDS[0]).measure(0, drawn(config, subject=RED))
    assert seen.likeness is not None
    assert (seen.likeness_ceiling, seen.memorisation, seen.class_drift) == (None, None, None)
    assert "no ceiling of 'ohwx person': there is a single photo to compare with" in seen.notes


def test_each_prompt_is_held_against_the_photos_of_what_it_names(tmp_path: Path) -> None:
    prompts = ("a photo of {subject}", "a photo of {subject2}", "{subject} with {subject2}")
    config = tiny_config(concepts=[REX], validation_prompts=prompts)
    write(Layout(tmp_path).photos_of(2), picture(BLUE, 1), picture(BLUE, 2))
    clip = load_clip("generated:micro")
    for index, red in enumerate(REDS):
        red.save(tmp_path / "input" / "data" / "photos" / f"{index}.png")
    look = Measure(config, Layout(tmp_path), Looking(clip, clip))
    one, two, both = (probe for probe in probes_of(config) if probe.role == "subject")
    assert [one.concepts, two.concepts, both.concepts] == [(1,), (2,), (1, 2)]

    def alike(first: Any, second: Any) -> float:
        pair = [(one, picture(first, 9)), (two, picture(second, 9))]
        found = look.measure(0, pair).likeness
        assert found is not None
        return found

    assert alike(RED, BLUE) > alike(RED, RED) > alike(BLUE, RED)


@pytest.mark.parametrize(
    ("prompt", "context"),
    [
        ("a photo of {subject}", None),
        ("a photo of ohwx person.", None),
        ("A photo of {subject}.", None),
        (TOWER, "a photo of a person in front of the Eiffel Tower"),
        ("pencil sketch of the ohwx person", "pencil sketch of the person"),
        ("{subject} with {subject2} on a beach", "a person with a dog on a beach"),
        ("{subject2} on a beach", "a dog on a beach"),
    ],
)
def test_the_context_of_a_prompt_is_what_it_says_beside_the_subject(
    prompt: str, context: str | None
) -> None:
    assert context_of(tiny_config(concepts=[REX]), prompt) == context


def test_of_a_manner_of_drawing_the_context_is_what_is_drawn_and_no_class_can_drift() -> None:
    prompt = "a house by a lake in the style of {subject}"
    config = tiny_config(
        kind="style",
        class_noun="picture",
        instance_prompt="a {class_noun} in the style of {subject}",
        class_prompt="a {class_noun}",
        validation_prompts=(prompt,),
    )
    assert context_of(config, prompt) == "a house by a lake"
    assert [probe.role for probe in probes_of(config)] == ["subject", "plain"]


def test_probes_are_few_cheap_and_the_same_at_every_step() -> None:
    config = tiny_config(validation_prompts=("a photo of {subject}", TOWER), seed=7)
    probes = probes_of(config)
    assert [probe.name for probe in probes] == ["0", "1", "class-0", "plain-1"]
    assert [probe.name for probe in probes if probe.once] == ["plain-1"]
    assert {probe.request.seed for probe in probes} == {7}
    assert {probe.request.steps for probe in probes} == {config.base.sampling_steps // 2}
    (one, *_) = probes_of(config.model_copy(update={"validation_steps": 3}))
    assert one.request.steps == 3
    assert probes_of(config.model_copy(update={"validation_prompts": ()})) == []


def test_features_that_are_no_numbers_are_said_and_left_out(tmp_path: Path) -> None:
    config = tiny_config(validation_prompts=(TOWER,))
    broken = load_clip("generated:micro")
    broken._model.visual_projection.weight.data.fill_(torch.nan)
    look = measure(tmp_path, config, *REDS, looking=Looking(broken, broken))
    seen = look.measure(0, drawn(config, subject=RED, plain=RED, **{"class": RED}))
    numbers = seen.model_dump(exclude={"step", "embedder", "images", "seconds", "notes"})
    assert not any(numbers.values())
    assert len(seen.notes) == len(set(seen.notes)) > 0


def unit(count: int, width: int, shift: float = 0.0) -> torch.Tensor:
    rows = torch.randn(count, width, generator=torch.Generator().manual_seed(count))
    return normalize(rows + shift)


def test_fid_and_kid_are_torchmetrics_own_with_bounds_about_them() -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    images, classes = unit(6, 64, shift=0.5), unit(20, 64)
    before = torch.random.get_rng_state()
    found = distances.fid(images, classes, seed=1)
    near, far = distances.kid(unit(9, 64), classes, 1), distances.kid(images, classes, 1)
    assert torch.equal(torch.random.get_rng_state(), before)
    metric = FrechetInceptionDistance(distances._Features(64)).set_dtype(torch.float64)
    metric.update(64**0.5 * classes.double(), real=True)
    metric.update(64**0.5 * images.double(), real=False)
    assert found is not None and found.value == pytest.approx(float(metric.compute()), rel=1e-3)
    assert found.low <= found.value <= found.high
    assert near is not None and far is not None and near.value < far.value
    assert far == distances.kid(images, classes, 1)  # the same again
    assert distances.kid(images[:1], classes, 1) is None


def test_kid_is_measured_wherever_there_are_class_images_and_fid_where_it_decides(
    tmp_path: Path,
) -> None:
    write(tmp_path / "class", *(picture(GREEN, seed) for seed in range(6)))
    files = sorted((tmp_path / "class").iterdir())
    for early_stopping in ("likeness", "fid"):
        config = tiny_config(early_stopping=early_stopping, validation_every=1)
        look = measure(tmp_path / early_stopping, config, *REDS, classes=files)
        seen = look.measure(0, drawn(config, subject=RED, **{"class": GREEN}))
        assert seen.kid is not None and seen.kid.low <= seen.kid.value <= seen.kid.high
        assert (seen.fid is not None) == (early_stopping == "fid")
