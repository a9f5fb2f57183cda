"""What a process never uses is not imported by it."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys

import pytest

from inference_entrypoint.unused import bring_back, lean_imports, leave_out

SCRIPT = """
import sys
from inference_entrypoint.unused import leave_out
leave_out()
from inference_entrypoint.bases import load_base
from inference_entrypoint.generate import generate
from lensa.contract import BASES, GenerationRequest
pipeline = load_base(BASES["micro"], device="cpu", dtype=__import__("torch").float32)
request = GenerationRequest(prompt="(me:1.2)", seed=1, steps=1)
images = generate(pipeline, request, subject="ohwx person", class_noun="person").images
print(len(images), *(name for name, module in sys.modules.items() if module is not None))
"""


def test_it_draws_without_them() -> None:
    out = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    count, *loaded = out.stdout.split()
    assert count == "1"
    assert "diffusers" in loaded
    assert not {"bitsandbytes", "sklearn", "scipy", "pandas"} & set(loaded)


def test_what_was_left_out_can_be_brought_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    assert leave_out("colorsys", "sys") == ["colorsys"]  # what is imported already stays
    with pytest.raises(ImportError):
        importlib.import_module("colorsys")
    bring_back("colorsys", "sys")
    assert importlib.import_module("colorsys") and sys.modules["sys"] is sys


def test_garbage_is_collected_again_after_imports_and_after_one_that_fails() -> None:
    with pytest.raises(ImportError), lean_imports():
        assert not gc.isenabled()
        importlib.import_module("nothing_of_this_name")
    assert gc.isenabled()


TRAINING = """
from inference_entrypoint.unused import lean_imports
with lean_imports(keep=("scipy",)):
    import diffusers
print(diffusers.LMSDiscreteScheduler.from_config({}).config.num_train_timesteps)
"""


def test_a_training_has_the_schedulers_that_need_scipy() -> None:
    """diffusers makes up its mind at import whether it is there."""
    command = [sys.executable, "-c", TRAINING]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["1000"]
