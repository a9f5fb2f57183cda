"""A base is known by the weights that it draws with, and by no others."""

from __future__ import annotations

from pathlib import Path

from lensa.contract.weights import weights_digest


def put(folder: Path, name: str, content: bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def test_an_embedder_beside_a_base_leaves_its_revision_as_it_is(tmp_path: Path) -> None:
    put(tmp_path, "unet/model.safetensors", b"weights")
    before = weights_digest(tmp_path)
    put(tmp_path, "embedder/model.safetensors", b"others")
    assert weights_digest(tmp_path) == before
    put(tmp_path, "unet/embedder/model.safetensors", b"drawn with")
    assert weights_digest(tmp_path) != before


def test_one_file_has_a_digest_too(tmp_path: Path) -> None:
    put(tmp_path, "embedder/a.safetensors", b"weights")
    put(tmp_path, "embedder/b.safetensors", b"others")
    first, second = (tmp_path / "embedder" / name for name in ("a.safetensors", "b.safetensors"))
    assert weights_digest(first) != weights_digest(second)
