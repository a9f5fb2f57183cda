"""Another VAE in the base's place: the same while training and when serving, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from making import CPU, fresh_micro, make_avatar, micro, write_manifest
from training.running import make_job, tiny_config

from inference_entrypoint.avatars import load_avatar, read_manifest
from inference_entrypoint.library import Library
from inference_entrypoint.vaes import replace_vae, vae_revision
from lensa.bases import resolve_vae
from lensa.contract import GenerationRequest, VaeRef
from lensa.contract.class_cache import class_cache_key
from lensa.errors import ArtifactError, BaseModelError
from training_entrypoint import job as job_module


def other_vae(**changes: Any) -> AutoencoderKL:
    """A VAE like micro's, with other weights."""
    settings = {**micro().vae.config, **changes}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return AutoencoderKL.from_config(settings)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    other_vae().save_pretrained(tmp_path / "vae")
    return tmp_path / "vae"


def ref(folder: Path) -> VaeRef:
    return VaeRef(source="folder", location=str(folder))


def test_it_takes_the_place_of_the_bases_own(folder: Path) -> None:
    pipeline = fresh_micro()
    replace_vae(pipeline, resolve_vae(str(folder)))
    latents = torch.ones(1, 4, 8, 8)
    expected = AutoencoderKL.from_pretrained(folder).decode(latents).sample
    assert pipeline.vae.decode(latents).sample.equal(expected)
    assert not pipeline.vae.decode(latents).sample.equal(micro().vae.decode(latents).sample)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"latent_channels": 16}, "latent channels is 16.*trained with 4"),
        ({"scaling_factor": 0.13025}, r"scaling factor is 0\.13025"),
        ({"shift_factor": 0.1159}, "shift is"),
        ({"block_out_channels": [8, 16, 16, 16]}, "pixels a side of a latent is 8.*with 4"),
    ],
)
def test_one_of_other_latents_is_refused_before_a_weight_is_read(
    folder: Path, changes: dict[str, Any], reason: str
) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(b"")  # never looked into
    with pytest.raises(BaseModelError, match=reason):
        replace_vae(fresh_micro(), ref(folder))


def test_what_is_no_vae_is_refused_on_the_clients_side(tmp_path: Path, folder: Path) -> None:
    micro().unet.save_pretrained(tmp_path / "unet")
    with pytest.raises(BaseModelError, match="is a UNet2DConditionModel"):
        resolve_vae(str(tmp_path / "unet"))
    with pytest.raises(BaseModelError, match=r"config\.json"):
        resolve_vae(str(tmp_path))
    with pytest.raises(BaseModelError, match="hub id"):
        resolve_vae("no such thing")
    assert str(resolve_vae("stabilityai/sd-vae-ft-mse@main")) == "stabilityai/sd-vae-ft-mse@main"


def test_a_job_refuses_what_is_no_vae_before_it_loads_a_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[object] = []
    monkeypatch.setattr(job_module, "load_base", lambda *a, **options: loaded.append(a))
    empty = tmp_path / "empty"
    empty.mkdir()
    for config, reason in ((None, r"has no config\.json"), ("UNet2DConditionModel", "is a UNet2D")):
        if config is not None:
            (empty / "config.json").write_text(json.dumps({"_class_name": config}))
        job = make_job(tmp_path / "job", vae=VaeRef(source="folder", location=str(empty)))
        with pytest.raises(BaseModelError, match=reason):
            job.run()
    assert loaded == []


def test_one_that_is_not_whole_is_refused(folder: Path) -> None:
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    with pytest.raises(BaseModelError, match="The VAE"):
        replace_vae(fresh_micro(), ref(folder))


def test_an_avatar_is_served_with_the_vae_that_it_was_trained_with(
    tmp_path: Path, folder: Path
) -> None:
    job = make_job(tmp_path, steps=1, vae=resolve_vae(str(folder)), prior_preservation=False)
    job.run()
    manifest = job.manifest
    assert manifest.vae_revision == vae_revision(ref(folder))
    avatar = load_avatar(job.layout.model, **CPU)
    weight = avatar.pipeline.vae.decoder.conv_in.weight
    assert weight.equal(AutoencoderKL.from_pretrained(folder).decoder.conv_in.weight)

    with torch.no_grad():
        changed = AutoencoderKL.from_pretrained(folder)
        changed.decoder.conv_in.weight += 1
        changed.save_pretrained(folder)
    with pytest.raises(ArtifactError, match="trained with the VAE"):
        load_avatar(job.layout.model, **CPU)


def test_avatars_of_two_vaes_have_no_endpoint_in_common(tmp_path: Path, folder: Path) -> None:
    names = ["lensa-7k2m0000-1f3a9c2e", "lensa-8k2m0000-1f3a9c2e"]
    for name in names:
        make_avatar(tmp_path / name, vae=ref(folder) if name == names[1] else None)
        manifest = read_manifest(tmp_path / name)
        write_manifest(tmp_path / name, manifest.config, avatar=name)
    library = Library(**CPU)
    library.add(tmp_path / names[0])
    with pytest.raises(ArtifactError, match="endpoint of its own"):
        library.add(tmp_path / names[1])
    alone = Library(**CPU)
    alone.add(tmp_path / names[1])
    assert isinstance(alone.base.pipeline, StableDiffusionPipeline)
    own = micro().vae.decoder.conv_in.weight
    assert not alone.base.pipeline.vae.decoder.conv_in.weight.equal(own)
    assert alone.generate(GenerationRequest(prompt="", steps=1, seed=1)).images


def test_class_images_of_another_vae_are_others(folder: Path) -> None:
    plain, other = tiny_config(), tiny_config(vae=ref(folder))
    assert class_cache_key(plain, "1") != class_cache_key(other, "1")
    assert plain.identity() != other.identity()
