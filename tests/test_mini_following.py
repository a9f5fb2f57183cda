"""Does the embedded base draw what a prompt says? Figure 1 of its card, measured again.

The judge is the card's, trained here on fewer pictures: its ceiling is lower, and so are margins.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from requirements import need_module

MEASURE = (
    "import json; from mini.generating import load; "
    "from mini.prompt_following import prompt_following; "
    "print(json.dumps(prompt_following(load())['attributes']))"
)


def python(work: Path, *arguments: str) -> str:
    environment = os.environ | {"MINI_WORK": str(work), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_it_draws_what_prompts_say(tmp_path: Path) -> None:
    need_module("mini", "lensa_mini", "lensa-mini (make setup)")
    python(tmp_path, "-m", "mini.draw", "--count", "6000")
    python(tmp_path, "-m", "mini.classifier")
    told: dict[str, Any] = json.loads(python(tmp_path, "-c", MEASURE).splitlines()[-1])
    for name, margin in {"style": 0.9, "background": 0.9, "skin": 0.8, "glasses": 0.85}.items():
        assert told[name]["share"] > margin, told
    for name in ("hair_colour", "hair_style", "facial_hair", "expression"):
        assert told[name]["share"] > 0.6, told
