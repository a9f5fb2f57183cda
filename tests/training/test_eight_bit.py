"""A training imports bitsandbytes only for the optimizer that is in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from training.running import make_job

SCRIPT = """
import sys
from training_entrypoint.__main__ import main
print(main(), "bitsandbytes" in sys.modules, file=sys.stderr)
"""


def test_a_process_that_left_it_out_finds_it(tmp_path: Path) -> None:
    job = make_job(tmp_path, optimizer="adamw8bit", steps=1, prior_preservation=False)
    job.layout.config.parent.mkdir(parents=True)
    job.layout.config.write_text(job.config.model_dump_json())
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "SAGEMAKER_BASE_DIR": str(job.layout.root)},
        capture_output=True,
        text=True,
    )
    assert done.stderr.split()[-2:] == ["0", "True"], done.stderr
    assert job.manifest.steps_trained == 1
