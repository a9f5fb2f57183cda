"""`generate`: the same request gives the same images, and nothing else is changed by it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from diffusers import EulerAncestralDiscreteScheduler
from making import difference, draw, fresh_micro, micro
from PIL import Image

from inference_entrypoint import face_detail
from inference_entrypoint.drawing import to_images
from inference_entrypoint.inference import answer
from inference_entrypoint.noise import generator_of, starting_noise
from lensa.contract import GenerationRequest
from lensa.errors import ConfigError, LensaError


def test_the_same_request_gives_the_same_bytes() -> None:
    first, second = draw(micro(), count=5), draw(fresh_micro(), count=5)
    assert [a.tobytes() for a in first.images] == [b.tobytes() for b in second.images]
    assert len({image.tobytes() for image in first.images}) == 5


@pytest.mark.parametrize("scheduler", ["default", "ddim", "dpm++", "euler"])
def test_image_i_is_the_same_alone_and_in_a_batch(scheduler: str) -> None:
    together = draw(micro(), count=6, scheduler=scheduler)
    alone = draw(micro(), count=6, scheduler=scheduler, indices=[5])
    assert alone.indices == [5]
    assert difference(together.images[5], alone.images[0]) <= 1


def test_a_stochastic_scheduler_draws_each_image_from_its_own_generator() -> None:
    pipeline = fresh_micro()
    pipeline.scheduler = EulerAncestralDiscreteScheduler.from_config(pipeline.scheduler.config)
    together, alone = draw(pipeline, count=3), draw(pipeline, count=3, indices=[2])
    assert difference(together.images[2], alone.images[0]) <= 1


def test_starting_noise_depends_on_seed_and_index_alone() -> None:
    def noise(seed: int, index: int) -> torch.Tensor:
        return starting_noise(generator_of(seed, index), (4, 8, 8))

    assert torch.equal(noise(7, 3), noise(7, 3))
    assert not torch.equal(noise(7, 3), noise(7, 4))
    assert not torch.equal(noise(7, 3), noise(8, 3))
    assert not torch.equal(noise(7, 3), noise(8, 2))  # seed + index would be a poor hash


def test_a_seed_that_is_not_given_is_drawn_and_told() -> None:
    first, second = draw(micro(), seed=None), draw(micro(), seed=None)
    assert first.seed != second.seed
    again = draw(micro(), seed=first.seed)
    assert again.images[0].tobytes() == first.images[0].tobytes()
    assert first.request.seed == first.seed


def test_the_global_random_state_is_neither_read_nor_changed() -> None:
    before = torch.random.get_rng_state()
    first = draw(micro(), expand=False)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(99)
    assert draw(micro()).images[0].tobytes() == first.images[0].tobytes()
    torch.random.set_rng_state(before)


def test_a_model_in_training_goes_on_training() -> None:
    pipeline = fresh_micro()
    pipeline.unet.train()
    pipeline.unet.mid_block.eval()
    modes = [module.training for module in pipeline.unet.modules()]
    draw(pipeline)
    assert [module.training for module in pipeline.unet.modules()] == modes
    loss = pipeline.unet(torch.zeros(1, 4, 8, 8), 1, torch.zeros(1, 77, 32)).sample.sum()
    loss.backward()
    assert pipeline.unet.conv_in.weight.grad is not None


def test_size_and_guidance() -> None:
    assert draw(micro()).images[0].size == (32, 32)  # the base's own
    wide = draw(micro(), width=48, height=24)
    assert wide.images[0].size == (48, 24)
    assert (wide.request.width, wide.request.height) == (48, 24)
    plain = draw(micro(), guidance_scale=1)
    other = draw(micro(), guidance_scale=1, negative_prompt="hat")
    assert plain.images[0].tobytes() == other.images[0].tobytes()  # no guidance, no negative prompt
    assert draw(micro()).images[0].tobytes() != plain.images[0].tobytes()


def test_nothing_of_a_long_prompt_is_cut() -> None:
    long = "a hat, " * 60
    first, second = draw(micro(), long + "red"), draw(micro(), long + "blue")
    assert first.prompts[0].endswith("red")
    assert first.images[0].tobytes() != second.images[0].tobytes()
    assert draw(micro(), "me, " + long).warnings == []


def test_a_prompt_that_does_not_name_the_subject_is_told() -> None:
    (warning,) = draw(micro(), "a castle").warnings
    assert "did not name the subject" in warning
    assert draw(micro(), "me in a castle").warnings == []


def test_steps_are_counted_over_all_images() -> None:
    seen: list[tuple[int, int]] = []
    request = GenerationRequest(prompt="x", count=6, steps=3, seed=1)
    from inference_entrypoint.generate import generate

    generate(
        micro(),
        request,
        subject="ohwx person",
        class_noun="person",
        on_step=lambda *step: seen.append(step),
    )
    assert sorted(set(seen)) == [(done, 18) for done in (0, 4, 8, 12, 14, 16, 18)]


def test_nan_is_an_error_and_not_a_black_picture() -> None:
    pipeline = fresh_micro()
    with torch.no_grad():
        pipeline.unet.conv_out.weight.fill_(float("nan"))
    with pytest.raises(LensaError, match="NaN"):
        draw(pipeline)
    with pytest.raises(LensaError, match="NaN"):
        to_images(torch.full((1, 3, 8, 8), torch.inf))


def test_a_vae_that_overflows_in_half_precision_goes_on_in_single() -> None:
    pipeline = fresh_micro()
    with torch.no_grad():
        pipeline.vae.decoder.conv_in.weight *= 2e4
    expected = draw(pipeline)
    pipeline.vae.to(torch.float16)
    image = draw(pipeline).images[0]
    assert np.asarray(image).std() > 0
    assert difference(image, expected.images[0]) <= 3  # the weights went through half precision


def test_expansion_without_an_expander_is_refused() -> None:
    with pytest.raises(ConfigError, match="expander"):
        draw(micro(), expand=True)


def test_running_out_of_gpu_memory_is_said_in_words() -> None:
    class Full:
        name = "full"

        def generate(self, *_: object, **__: object) -> None:
            raise torch.OutOfMemoryError

    with pytest.raises(LensaError, match="ask for smaller ones"):
        answer(GenerationRequest(prompt="x"), Full())  # type: ignore[arg-type]


class Severe:
    """A checker that flags what it is told to, look by look."""

    def __init__(self, *looks: list[bool]) -> None:
        self.looks = list(looks)

    def unsafe(self, images: Sequence[Image.Image]) -> list[bool]:
        verdicts = self.looks.pop(0)
        assert len(verdicts) == len(images)
        return verdicts


def test_a_flagged_image_is_drawn_from_another_seed_and_blurred_if_that_is_flagged_too() -> None:
    plain = draw(micro(), count=3)
    checker = Severe([False, True, True], [False, True])
    checked = draw(micro(), count=3, checker=checker)
    assert checked.unsafe == [False, False, True]
    assert checked.seeds == [5, 6, 5]
    assert checked.images[0].tobytes() == plain.images[0].tobytes()
    (other,) = draw(micro(), count=3, seed=6, indices=[1]).images
    assert difference(checked.images[1], other) <= 1  # which its seed and index make again
    assert checked.images[2].tobytes() != plain.images[2].tobytes()
    assert [note.split(":")[0] for note in checked.warnings if "safety" in note] == ["safety"] * 2


def test_small_faces_are_drawn_once_more_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_detail, "find_faces", lambda image: [(20, 20, 30, 30)])
    plain = draw(micro(), "me", width=64, height=64, count=2)
    redrawn = draw(micro(), "me", width=64, height=64, count=2, face_detail=True)
    (alone,) = draw(micro(), "me", width=64, height=64, indices=[1], face_detail=True).images
    for before, after in zip(plain.images, redrawn.images, strict=True):
        one, other = np.asarray(before, dtype=int), np.asarray(after, dtype=int)
        assert np.abs(one - other)[20:30, 20:30].max() > 0
        assert np.abs(one - other)[40:].max() == 0
    assert difference(redrawn.images[1], alone) <= 1
