"""Bases and expanders from the Hugging Face Hub, as far as a hub of our own can stand for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_hub import COMMIT, FakeHub, fake_hub
from making import CPU, draw, micro

from inference_entrypoint.bases import base_revision, load_base
from inference_entrypoint.expand import load_expander
from inference_entrypoint.micro import build_micro_expander
from lensa.contract import BaseModelRef
from lensa.errors import BaseModelError


def ref(location: str = "someone/model", **fields: str) -> BaseModelRef:
    return BaseModelRef(name="theirs", source="hub", location=location, **fields)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with fake_hub(tmp_path / "cache", monkeypatch) as running:
        running.folders["someone/model"] = tmp_path / "model"
        micro().save_pretrained(tmp_path / "model")
        yield running


def test_a_base_is_downloaded_and_its_commit_is_its_revision(hub: FakeHub) -> None:
    pipeline = load_base(ref(), **CPU)
    assert draw(pipeline).images[0].tobytes() == draw(micro()).images[0].tobytes()
    assert base_revision(ref()) == COMMIT
    assert base_revision(ref(revision=COMMIT)) == COMMIT


def test_the_variant_is_taken_where_there_is_one(hub: FakeHub, tmp_path: Path) -> None:
    micro().save_pretrained(tmp_path / "model", variant="fp16")  # beside the plain files
    load_base(ref(variant="fp16"), **CPU)
    weights = [name for name in hub.fetched if name.endswith(".safetensors")]
    assert weights and all(".fp16." in name for name in weights)


def test_a_missing_variant_falls_back_to_the_plain_weights(hub: FakeHub) -> None:
    load_base(ref(variant="fp16"), **CPU)
    assert "unet/diffusion_pytorch_model.safetensors" in hub.fetched


def test_another_architecture_is_refused_before_its_weights_are_downloaded(
    hub: FakeHub, tmp_path: Path
) -> None:
    index = tmp_path / "model" / "model_index.json"
    index.write_text(index.read_text().replace("StableDiffusionPip", "StableDiffusionXLPip"))
    with pytest.raises(BaseModelError, match="StableDiffusionXLPipeline, which lensa does not"):
        load_base(ref(), **CPU)
    assert hub.fetched == ["model_index.json"]


def test_pickled_weights_are_never_loaded(hub: FakeHub, tmp_path: Path) -> None:
    weights = tmp_path / "model" / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(BaseModelError, match="safetensors"):
        load_base(ref(), **CPU)
    assert not any(name.endswith(".bin") for name in hub.fetched)


def test_what_was_downloaded_once_serves_without_the_hub(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_base(ref(), **CPU)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    load_base(ref(), **CPU)
    assert base_revision(ref()) == COMMIT


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, "RepoNotFound", "is not on the hub, or it is private: check the id, or set HF_TOKEN"),
        (403, "GatedRepo", "is gated: accept its terms at https://huggingface.co/someone/secret"),
    ],
)
def test_a_refusal_says_what_to_do(hub: FakeHub, status: int, code: str, words: str) -> None:
    hub.errors["someone/secret"] = (status, code)
    with pytest.raises(BaseModelError, match=words):
        load_base(ref("someone/secret"), **CPU)


def test_an_unknown_revision_is_named(hub: FakeHub) -> None:
    with pytest.raises(BaseModelError, match="has no revision 'v9'"):
        load_base(ref(revision="v9"), **CPU)


def test_a_repository_that_is_no_pipeline_lacks_the_index(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "model" / "model_index.json").unlink()
    with pytest.raises(BaseModelError, match=r"does not hold model_index\.json"):
        load_base(ref(), **CPU)


@pytest.mark.parametrize("what", ["offline", "unreachable"])
def test_without_the_hub_the_way_out_is_named(
    what: str, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    if what == "offline":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    else:
        template = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    with pytest.raises(BaseModelError, match="cannot be reached") as error:
        load_base(ref(), **CPU)
    assert "use a local folder" in str(error.value)
    with pytest.raises(
        BaseModelError, match=r"prompt expander cannot be loaded.*cannot be reached"
    ):
        load_expander("someone/expander")


def test_an_expander_is_downloaded(hub: FakeHub, tmp_path: Path) -> None:
    model, tokenizer = build_micro_expander()
    model.save_pretrained(tmp_path / "expander")
    tokenizer.save_pretrained(tmp_path / "expander")
    hub.folders["someone/expander"] = tmp_path / "expander"
    expander = load_expander("someone/expander")
    own = load_expander("generated:micro")
    assert expander is not None and own is not None
    assert expander.expand(["a cat"], [1]) == own.expand(["a cat"], [1])
