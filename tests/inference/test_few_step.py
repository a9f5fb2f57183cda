"""Few-step LoRAs and the tiny decoder: files as the hub's are made, in shape if not in meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderTiny, DDIMScheduler, LCMScheduler
from fake_hub import fake_hub
from making import config, draw, fresh_micro, make_avatar, micro
from many import LORA, numbered
from safetensors.torch import save_file
from torch import nn

from inference_entrypoint.adapters import applied, drop_lora, in_use, load_lora
from inference_entrypoint.avatars import load_avatar
from inference_entrypoint.few_step import (
    ACCELERATORS,
    FEW_STEP,
    load_accelerator,
)
from inference_entrypoint.order import Result
from inference_entrypoint.samplers import make_scheduler
from inference_entrypoint.tiny_decoder import decoding_with, load_tiny_decoder
from lensa.contract import GenerationRequest
from lensa.errors import BaseModelError, ConfigError

CPU: dict[str, Any] = {"device": "cpu", "dtype": torch.float32}
RANK, ALPHA = 4, 2.0


def low_rank(layer: Any, source: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    out, *rest = layer.weight.shape
    point = [1] * (len(rest) - 1)
    down = 0.1 * torch.randn(RANK, *rest, generator=source)
    return down, 0.1 * torch.randn(out, RANK, *point, generator=source)


def write(file: Path, style: str = "kohya", seed: int = 0) -> Path:
    """Write a LoRA beside every layer of micro's UNet, as LCM-LoRA is: convolutions too."""
    source = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for name, layer in micro().unet.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            down, up = low_rank(layer, source)
            if style == "kohya":
                stem = "lora_unet_" + name.replace(".", "_")
                tensors[f"{stem}.lora_down.weight"] = down
                tensors[f"{stem}.lora_up.weight"] = up
                tensors[f"{stem}.alpha"] = torch.tensor(ALPHA)
            else:  # its alpha is its rank
                tensors[f"unet.{name}.lora_A.weight"] = down
                tensors[f"unet.{name}.lora_B.weight"] = up * (ALPHA / RANK)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file)
    return file


def four_steps(pipeline: Any) -> bytes:
    drawn = draw(pipeline, scheduler="lcm", steps=4, guidance_scale=1)
    assert drawn.images[0].size == (32, 32)
    return drawn.images[0].tobytes()


def test_four_steps_with_an_avatar_beside_it(tmp_path: Path) -> None:
    pipeline = fresh_micro()
    load_lora(pipeline, numbered(tmp_path / "a", 1) / LORA, config(), "a")
    load_accelerator(pipeline, "lcm", write(tmp_path / "lcm.safetensors"))
    assert in_use(pipeline) == ["a"]  # it waits until it is asked for
    drawn = []
    for scales in ({}, {"a": 1}, {FEW_STEP: 1}, {"a": 1, FEW_STEP: 1}):
        with applied(pipeline, scales):
            drawn.append(four_steps(pipeline))
    assert len(set(drawn)) == 4
    drop_lora(pipeline, FEW_STEP)
    with applied(pipeline, {"a": 1}):
        assert four_steps(pipeline) == drawn[1]
    drop_lora(pipeline, "a")
    assert four_steps(pipeline) == drawn[0] == four_steps(micro())


def test_every_layer_gets_what_the_mathematics_says(tmp_path: Path) -> None:
    pipeline = fresh_micro()
    load_accelerator(pipeline, "lcm", write(tmp_path / "lcm.safetensors"))
    source, seen = torch.Generator().manual_seed(0), 0
    with applied(pipeline, {FEW_STEP: 1}):
        for name, layer in micro().unet.named_modules():
            if not isinstance(layer, nn.Linear | nn.Conv2d):
                continue
            down, up = low_rank(layer, source)
            changed = pipeline.unet.get_submodule(name)
            delta = (up.flatten(1) @ down.flatten(1)).reshape(layer.weight.shape) * ALPHA / RANK
            shape = (2, layer.weight.shape[1], *[5] * (layer.weight.ndim - 2))
            x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
            bare = torch.func.functional_call(
                layer, {"weight": layer.weight + delta, **bias_of(layer)}, (x,)
            )
            with torch.no_grad():
                torch.testing.assert_close(changed(x), bare, atol=1e-4, rtol=1e-4)
            seen += 1
    assert seen > 80


def bias_of(layer: Any) -> dict[str, torch.Tensor]:
    return {} if layer.bias is None else {"bias": layer.bias}


def test_both_ways_of_naming_say_the_same(tmp_path: Path) -> None:
    drawn = []
    for style in ("kohya", "peft"):
        pipeline = fresh_micro()
        load_accelerator(pipeline, "lcm", write(tmp_path / f"{style}.safetensors", style))
        drawn.append(draw(pipeline, scheduler="lcm", steps=4, guidance_scale=1))
    one, other = (torch.tensor(list(result.images[0].tobytes())) for result in drawn)
    assert (one - other).abs().max() <= 1


def test_from_the_hub_and_one_in_the_place_of_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, accelerator in enumerate(ACCELERATORS.values()):
        write(tmp_path / accelerator.repo / accelerator.file, seed=seed)
    pipeline = fresh_micro()
    with fake_hub(tmp_path / "cache", monkeypatch) as hub:
        for accelerator in ACCELERATORS.values():
            hub.folders[accelerator.repo] = tmp_path / accelerator.repo
        for name in ACCELERATORS:
            load_accelerator(pipeline, name)
        assert hub.fetched == [accelerator.file for accelerator in ACCELERATORS.values()]
    assert in_use(pipeline) == []  # it waits to be asked for


def test_what_is_unknown_out_of_reach_or_does_not_fit(tmp_path: Path) -> None:
    pipeline, file = fresh_micro(), write(tmp_path / "lcm.safetensors")
    with pytest.raises(ConfigError, match=r"No accelerator 'lmc'. Did you mean 'lcm'\?"):
        load_accelerator(pipeline, "lmc")  # type: ignore[arg-type]
    with pytest.raises(BaseModelError, match="cannot be reached"):
        load_accelerator(pipeline, "lcm")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(BaseModelError, match="not a whole safetensors file"):
        load_accelerator(pipeline, "lcm", file)
    for odd, words in (
        ({"lora_unet_nowhere.lora_down.weight": torch.ones(4, 4)}, "lora_unet_nowhere.* no layer"),
        ({"lora_unet_conv_in.lora_down.weight": torch.ones(4, 4)}, "see its lora_unet_conv_in"),
        ({}, "nothing in it"),
    ):
        save_file(odd, file)
        with pytest.raises(BaseModelError, match=words):
            load_accelerator(pipeline, "lcm", file)
    assert in_use(pipeline) == []


def test_the_scheduler_that_each_was_trained_for() -> None:
    own = micro().scheduler
    lcm, hyper = (make_scheduler(own, name) for name in ("lcm", "ddim-trailing"))
    assert isinstance(lcm, LCMScheduler) and isinstance(hyper, DDIMScheduler)
    hyper.set_timesteps(4)
    assert hyper.timesteps.tolist() == [999, 749, 499, 249]  # from pure noise, evenly to the end
    for scheduler in (lcm, hyper):
        assert torch.equal(scheduler.alphas_cumprod, own.alphas_cumprod)
        assert not scheduler.config.clip_sample


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_request_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    for seed, accelerator in enumerate(ACCELERATORS.values()):
        write(tmp_path / accelerator.repo / accelerator.file, seed=seed)
    folder = make_avatar(tmp_path / "a", method=method)
    avatar = load_avatar(folder, device="cpu", dtype=torch.float32)

    def ask(**fields: Any) -> Result:
        return avatar.generate(GenerationRequest(prompt="me at sea", seed=5, **fields))

    plain = ask(steps=3)
    with fake_hub(tmp_path / "cache", monkeypatch) as hub:
        for accelerator in ACCELERATORS.values():
            hub.folders[accelerator.repo] = tmp_path / accelerator.repo
        few = {name: ask(few_step=name) for name in ("lcm", "hyper-4", "hyper-8", "lcm")}
    told = [(r.request.steps, r.scheduler, r.request.guidance_scale) for r in few.values()]
    assert told == [(4, "LCMScheduler", 1), (4, "DDIMScheduler", 1), (8, "DDIMScheduler", 1)]
    assert len({result.images[0].tobytes() for result in few.values()}) == 3
    assert ask(steps=3).images[0].tobytes() == plain.images[0].tobytes()  # gone when not asked for


def tiny(blocks: int = 3) -> AutoencoderTiny:
    """As TAESD is, with `blocks` levels: micro's pixel of latent is 4x4 of image."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoencoderTiny(
            encoder_block_out_channels=(8,) * blocks,
            decoder_block_out_channels=(8,) * blocks,
            num_encoder_blocks=(1,) * blocks,
            num_decoder_blocks=(1,) * blocks,
        )


def test_the_tiny_decoder_decodes_and_leaves_again(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path)
    pipeline = fresh_micro()
    own, before = pipeline.vae, four_steps(pipeline)
    with decoding_with(pipeline, load_tiny_decoder(str(tmp_path), **CPU)):
        assert four_steps(pipeline) != before
    assert pipeline.vae is own and four_steps(pipeline) == before


def test_a_tiny_decoder_that_does_not_fit_or_is_not_there(tmp_path: Path) -> None:
    pipeline = fresh_micro()
    own = pipeline.vae
    with (
        pytest.raises(BaseModelError, match=r"8 pixels of a latent.*this base 4"),
        decoding_with(pipeline, tiny(blocks=4)),
    ):
        pass
    assert pipeline.vae is own
    with pytest.raises(BaseModelError, match="cannot be loaded"):
        load_tiny_decoder(str(tmp_path), **CPU)
    with pytest.raises(BaseModelError, match="cannot be reached"):
        load_tiny_decoder(**CPU)
