"""What drawing never uses is not imported by a process that only draws."""

from __future__ import annotations

import subprocess
import sys

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
