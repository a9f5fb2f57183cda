"""From a word to a base model: what is not supported is refused by name, before anything runs."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lensa.bases import resolve_base
from lensa.contract import BASES
from lensa.errors import BaseModelError


def folder(path: Path, pipeline: str) -> Path:
    path.mkdir()
    (path / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
    return path


def checkpoint(path: Path, *tensors: str) -> Path:
    """A safetensors file that is all header: the names are enough to tell."""
    header = json.dumps(
        {name: {"dtype": "F16", "shape": [0], "data_offsets": [0, 0]} for name in tensors}
    ).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


@pytest.mark.parametrize("name", sorted(BASES))
def test_a_registered_name(name: str) -> None:
    assert resolve_base(name) == BASES[name]


def test_a_diffusers_folder_with_its_size(tmp_path: Path) -> None:
    path = folder(tmp_path / "mine", "StableDiffusionPipeline")
    for part, config in (
        ("unet", {"sample_size": 32}),
        ("vae", {"block_out_channels": [1, 2, 3, 4]}),
    ):
        (path / part).mkdir()
        (path / part / "config.json").write_text(json.dumps(config))
    base = resolve_base(str(path))
    assert (base.source, base.location, base.resolution) == ("folder", str(path), 256)


@pytest.mark.parametrize(
    "pipeline",
    [
        "StableDiffusionXLPipeline",
        "StableDiffusion3Pipeline",
        "FluxPipeline",
        "PixArtAlphaPipeline",
    ],
)
def test_a_folder_of_another_architecture(tmp_path: Path, pipeline: str) -> None:
    with pytest.raises(BaseModelError, match=f"is a {pipeline}, which lensa does not support"):
        resolve_base(str(folder(tmp_path / "other", pipeline)))


def test_a_single_file_checkpoint_by_its_tensors(tmp_path: Path) -> None:
    names = ["model.diffusion_model.x", "cond_stage_model.transformer.x", "first_stage_model.x"]
    base = resolve_base(str(checkpoint(tmp_path / "mine.safetensors", *names)))
    assert (base.name, base.source) == ("mine", "file")


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        ("conditioner.embedders.1.model.x", "StableDiffusionXLPipeline"),
        ("model.diffusion_model.joint_blocks.0.x", "StableDiffusion3Pipeline"),
        ("cond_stage_model.model.x", "StableDiffusion 2.x"),
        ("lora_unet_x.lora_down.weight", "a LoRA is not a base model"),
    ],
)
def test_a_checkpoint_of_another_architecture(tmp_path: Path, tensor: str, words: str) -> None:
    with pytest.raises(BaseModelError, match=words):
        resolve_base(str(checkpoint(tmp_path / "x.safetensors", tensor)))


@pytest.mark.parametrize("content", [b"", b"hello world, this is text", b"\xff" * 64])
def test_a_file_that_is_no_safetensors(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(BaseModelError, match=r"not a safetensors file|damaged"):
        resolve_base(str(path))


def test_a_folder_without_an_index_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=r"no model_index\.json"):
        resolve_base(str(tmp_path))
    with pytest.raises(BaseModelError, match="there is no file"):
        resolve_base(str(tmp_path / "x.safetensors"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A real HTTP server that answers for `model_index.json` as the hub does."""
    asked: list[str] = []
    answers = {
        "/acme/sd/resolve/main/model_index.json": (200, "StableDiffusionPipeline"),
        "/acme/xl/resolve/v2/model_index.json": (200, "StableDiffusionXLPipeline"),
        "/acme/gated/resolve/main/model_index.json": (401, ""),
        "/acme/broken/resolve/main/model_index.json": (500, ""),
    }

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Authorization", ""))
            status, pipeline = answers.get(self.path, (404, ""))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"_class_name": pipeline}).encode())

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    yield asked
    server.shutdown()
    server.server_close()


def test_the_hub_is_asked_for_the_architecture_with_the_token(
    hub: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert resolve_base("acme/sd").location == "acme/sd"
    assert hub == ["Bearer hf_secret"]
    with pytest.raises(BaseModelError, match="acme/xl is a StableDiffusionXLPipeline"):
        resolve_base("acme/xl@v2")
    with pytest.raises(BaseModelError, match="accept its licence on its page; then set HF_TOKEN"):
        resolve_base("acme/gated")
    with pytest.raises(BaseModelError, match="no diffusers model acme/none at revision v1"):
        resolve_base("acme/none@v1")


def test_where_the_hub_does_not_answer_the_job_decides(
    hub: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resolve_base("acme/broken").source == "hub"
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert resolve_base("acme/anything").source == "hub"
