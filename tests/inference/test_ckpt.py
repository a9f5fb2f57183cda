"""A base from a .ckpt: only if it is allowed, and of the pickle nothing but the weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ldm import checkpoint
from making import CPU, draw, micro

from inference_entrypoint.bases import base_revision, load_base
from lensa.bases import resolve_base
from lensa.contract import BaseModelRef
from lensa.errors import BaseModelError


class Hostile:
    """Runs when it is unpickled, unless nothing but tensors is."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.write_text, (self.trace, "it ran")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    micro().save_pretrained(tmp_path / "model")  # for its settings
    for weights in (tmp_path / "model").rglob("*.safetensors"):
        weights.unlink()
    torch.save({"state_dict": checkpoint(micro()), "global_step": 7}, tmp_path / "model.ckpt")
    return tmp_path / "model.ckpt"


def test_it_is_refused_unless_it_is_allowed(file: Path) -> None:
    with pytest.raises(BaseModelError, match=r"can run code.*--allow-ckpt"):
        resolve_base(str(file))
    with pytest.raises(BaseModelError, match="no file"):
        resolve_base(str(file.with_name("other.ckpt")), allow_ckpt=True)
    assert resolve_base(str(file), allow_ckpt=True).source == "pickle"


def test_allowed_it_draws_as_the_same_weights_do(file: Path) -> None:
    base = resolve_base(str(file), allow_ckpt=True)
    assert draw(load_base(base, **CPU)).images == draw(micro()).images
    # In a container it lies in a channel, with its settings beside it.
    assert base_revision(base) == base_revision(base, override=file.parent)
    assert draw(load_base(base, override=file.parent, **CPU)).images == draw(micro()).images


def test_code_in_it_never_runs(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    torch.save({"state_dict": {}, "callbacks": Hostile(trace)}, tmp_path / "bad.ckpt")
    with pytest.raises(BaseModelError, match=r"cannot be read as weights alone.*Convert it"):
        load_base(resolve_base(str(tmp_path / "bad.ckpt"), allow_ckpt=True), **CPU)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [([1, 2], "no weights by name"), ({"lora_up.weight": torch.ones(1)}, "not a whole Stable")],
)
def test_what_is_no_checkpoint_is_said(tmp_path: Path, content: object, reason: str) -> None:
    path = tmp_path / "odd.ckpt"
    torch.save(content, path)
    with pytest.raises(BaseModelError, match=reason):
        load_base(BaseModelRef(name="odd", source="pickle", location=str(path)), **CPU)


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "cut.ckpt").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(BaseModelError, match="cannot be read as weights alone"):
        load_base(resolve_base(str(tmp_path / "cut.ckpt"), allow_ckpt=True), **CPU)
