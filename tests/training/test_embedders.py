"""Which network looks at the images: from a folder, a package, the hub; and what takes its place
where it cannot be had. No hub is reachable here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from inference.fake_hub import COMMIT, fake_hub
from PIL import Image
from requirements import need_module
from training.running import make_job, tiny_config
from transformers import Dinov2Config, Dinov2Model
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from inference_entrypoint.micro import build_micro_embedder
from lensa.contract import BASES, Layout, TrainingConfig
from lensa.contract.bases import EMBEDDER
from lensa.errors import BaseModelError
from training_entrypoint.measuring import embedders
from training_entrypoint.measuring.clip import load_clip
from training_entrypoint.measuring.dinov2 import load_dinov2
from training_entrypoint.measuring.embedders import find_embedders
from training_entrypoint.measuring.measure import Measure
from training_entrypoint.measuring.probes import probes_of

PICTURES = [Image.new("RGB", (48, 32), colour) for colour in ("red", "blue", "white")]


def with_embedder(ref: str | None, **changes: object) -> TrainingConfig:
    base = BASES["micro"].model_copy(update={"embedder": ref})
    return tiny_config(base=base, **changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """micro's own CLIP, as any other lies in a folder."""
    model, tokenizer = build_micro_embedder()
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "embedder")
    size = {"height": 32, "width": 32}
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=size)
    processor.save_pretrained(tmp_path / "embedder")
    return tmp_path / "embedder"


@pytest.fixture
def package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    code = f"def embedder_path():\n    return {str(folder)!r}\n"
    (folder.parent / "measuring_package.py").write_text(code)
    monkeypatch.syspath_prepend(folder.parent)
    return "package:measuring_package"


def test_a_clip_is_the_same_from_code_a_folder_and_a_package(folder: Path, package: str) -> None:
    first, *others = (load_clip(ref) for ref in ("generated:micro", str(folder), package))
    images, texts = first.images(PICTURES), first.texts(["a dog", "a " + "long " * 99 + "prompt"])
    assert torch.allclose(images.norm(dim=1), torch.ones(3))
    for other in others:
        assert torch.allclose(other.images(PICTURES), images, atol=1e-6)
        assert torch.allclose(other.texts(["a dog", "a " + "long " * 99 + "prompt"]), texts)


def test_a_hub_is_asked_for_the_revision_that_is_named_and_for_safetensors_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    with fake_hub(tmp_path / "cache", monkeypatch) as hub:
        hub.folders["studio/clip"] = folder
        found = load_clip(f"studio/clip@{COMMIT}")
        with pytest.raises(BaseModelError, match="has no revision 'gone'"):
            load_clip("studio/clip@gone")
    assert found.name == "clip studio/clip"
    assert torch.equal(found.images(PICTURES), load_clip(str(folder)).images(PICTURES))
    assert "model.safetensors" in hub.fetched
    assert "pytorch_model.bin" not in hub.fetched


def test_what_is_asked_for_is_taken_and_nothing_is_said() -> None:
    found = find_embedders(tiny_config())
    assert found.images is found.texts is not None
    assert found.notes == ()


def test_a_hub_out_of_reach_is_replaced_by_the_package_and_that_is_said(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedders, "PACKAGED", package)
    found = find_embedders(with_embedder(EMBEDDER))
    assert found.images is not None and found.images.name == "clip measuring_package"
    note, *_ = found.notes
    assert note.startswith(
        "The embedder cannot be loaded: openai/clip-vit-base-patch32 at revision"
    )
    assert "is not in the local cache" in note
    assert "by clip measuring_package in its place" in note


def test_what_knows_other_pictures_than_the_base_draws_measures_and_decides_nothing(
    package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(embedders, "PACKAGED", package)
    assert find_embedders(with_embedder(package)).decides  # the base's own
    assert find_embedders(tiny_config()).decides
    found = find_embedders(with_embedder(EMBEDDER, early_stopping="likeness"))
    assert not found.decides
    assert found.notes[-1].startswith("clip measuring_package decides nothing: ")
    job = make_job(tmp_path, validation_every=1, validation_steps=1, early_stopping="likeness")
    base = job.config.base.model_copy(update={"embedder": EMBEDDER})
    job.config = job.config.model_copy(update={"base": base})
    job.run()
    choice = job.manifest.choice
    assert choice is not None
    assert (choice.step, choice.trained) == (4, 4)
    assert "the last one, since what measured here knows other pictures; likeness" in choice.reason
    said = [event["message"] for event in job.events("notice")]
    assert len([message for message in said if "decides nothing" in message]) == 1


def test_with_none_at_all_nothing_measures_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedders, "PACKAGED", "package:not_installed_here")
    found = find_embedders(with_embedder(EMBEDDER))
    assert (found.images, found.texts) == (None, None)
    assert found.notes[0].endswith("Validation images are drawn, and measured by nothing.")


def test_one_that_lies_beside_the_base_needs_no_hub(folder: Path) -> None:
    found = find_embedders(with_embedder(EMBEDDER), folder.parent)
    assert found.images is not None and found.images.name == "clip embedder"
    assert found.notes == ()


def test_a_folder_that_holds_half_an_embedder_is_refused_in_a_sentence(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"{}")
    with pytest.raises(BaseModelError, match="The embedder cannot be loaded: "):
        load_clip(str(folder))


def test_dinov2_looks_and_clip_reads(tmp_path: Path) -> None:
    config = Dinov2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    Dinov2Model(config).save_pretrained(tmp_path / "dino")
    size = {"height": 28, "width": 28}
    processor = BitImageProcessorPil(size={"shortest_edge": 28}, crop_size=size)
    processor.save_pretrained(tmp_path / "dino")
    features = load_dinov2(str(tmp_path / "dino")).images(PICTURES)
    assert features.shape == (3, 16)
    assert torch.allclose(features.norm(dim=1), torch.ones(3))
    found = find_embedders(tiny_config(embedder="dinov2"))  # which is on the hub
    assert found.images is found.texts is not None
    (note,) = found.notes
    assert note.startswith("DINOv2 cannot be loaded: facebook/dinov2-small at revision")
    assert note.endswith("Likeness is measured by clip micro in its place.")


def test_a_picture_without_a_face_has_no_likeness_and_its_prompt_is_read_all_the_same(
    tmp_path: Path,
) -> None:
    need_module("faces", "dlib", "'lensa[faces]'")
    config = tiny_config(embedder="face", validation_prompts=("a photo of {subject} at sea",))
    found, layout = find_embedders(config), Layout(tmp_path)
    assert found.images is not None and found.images.name == "face dlib"
    assert found.images.images(PICTURES).isnan().all()
    layout.photos.mkdir(parents=True)
    for index, picture in enumerate(PICTURES):
        picture.save(layout.photos / f"{index}.png")
    measure = Measure(config, layout, found)
    assert measure.blind  # a training has CLIP in its place
    seen = measure.measure(0, [(probe, PICTURES[0]) for probe in probes_of(config)])
    assert (seen.likeness, seen.memorisation) == (None, None)
    assert seen.retention == pytest.approx(1)
    assert "no face in 1 of 1 validation images" in seen.notes
