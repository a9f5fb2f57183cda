"""On the containers' Python, from the wheels alone: what a job in network isolation does first."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from contained import container, environment, run
from lock import ROOT, pins
from requirements import need

from launcher.requirements import SERVING, TRAINING, pinned
from lensa.backends.bundle import PYTHON, build_wheelhouse, serving_code

# What a distribution is imported as, if that does not follow from its name.
NAMES = {
    "cwevals": "coreweave_evaluations",
    "fonttools": "fontTools",
    "googleapis-common-protos": "google.rpc",
    "markdown-it-py": "markdown_it",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "protobuf": "google.protobuf",
    "python-dateutil": "dateutil",
    "pyyaml": "yaml",
    "tensorboardx": "tensorboardX",
    "opentelemetry-api": "opentelemetry.trace",
    "opentelemetry-exporter-http-transport": "opentelemetry.exporter.http.transport",
    "opentelemetry-exporter-otlp-common": "opentelemetry.exporter.otlp.common",
    "opentelemetry-exporter-otlp-proto-common": "opentelemetry.exporter.otlp.proto.common",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter.otlp.proto.http",
    "opentelemetry-proto": "opentelemetry.proto",
    "opentelemetry-sdk": "opentelemetry.sdk",
    "opentelemetry-semantic-conventions": "opentelemetry.semconv",
}
# They import torch: looked for, not imported.
OF_TORCH = {"accelerate", "bitsandbytes", "compel", "peft", "prodigyopt", "torchmetrics"}


def python312() -> str | None:
    """Return a Python of the containers' version on this machine."""
    named = os.environ.get("LENSA_PYTHON312")
    installed = sorted(Path.home().glob(f".pyenv/versions/{PYTHON}*/bin/python{PYTHON}"))
    candidates = [named, *map(str, installed), shutil.which(f"python{PYTHON}")]
    for candidate in candidates:
        if candidate and answers(candidate):
            return candidate
    return None


def answers(candidate: str) -> bool:
    command = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return False
    return done.stdout.strip() == PYTHON


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The containers' Python, with what is the image's own: of torch there is no build for a CPU
    and this Python."""
    found = python312()
    need("python312", found is not None, "Python 3.12 (or its path in LENSA_PYTHON312)")
    assert found is not None
    subprocess.run([found, "-m", "venv", tmp_path / "python"], check=True)
    python = tmp_path / "python" / "bin" / "python"
    numpy = f"numpy=={pins((ROOT / 'constraints.txt').read_text())['numpy']}"
    pip = [python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", numpy]
    subprocess.run(pip, check=True)
    return python


NOBODY = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "https_proxy": "http://127.0.0.1:9"}


@pytest.mark.slow
def test_the_wheelhouse_is_all_that_the_image_lacks(tmp_path: Path, python: Path) -> None:
    job, bundle = container(tmp_path / "job")
    wheels = build_wheelhouse(tmp_path / "wheelhouses")
    assert len(wheels) == len(pinned())
    shutil.copytree(wheels[0].parent, bundle.parent / "wheels")
    done = run(python, bundle, environment(job, **NOBODY))
    assert done.returncode == 2, done.stderr
    assert "the Python package torch is not installed here" in job.layout.failure.read_text()

    check_imports(python, TRAINING)


@pytest.mark.slow
def test_an_isolated_endpoint_has_its_wheels_beside_its_code(tmp_path: Path, python: Path) -> None:
    code = serving_code(tmp_path / "wheelhouses")
    for name, content in code.items():
        path = tmp_path / "model" / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.read_bytes() if isinstance(content, Path) else content)
    assert len(code) == len(pinned(SERVING)) + 2
    done = subprocess.run(
        [python, "-c", "import inference; print(inference.model_fn('model', None))"],
        env=environment(**NOBODY, PYTHONPATH=str(tmp_path / "model" / "code")),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    last = done.stderr.strip().splitlines()[-1]  # of the traceback in its log
    assert last.endswith("No module named 'torch'"), done.stderr  # and nothing else is missing
    check_imports(python, SERVING)


def check_imports(python: Path, package: str) -> None:
    modules = {
        each.name: NAMES.get(each.name, each.name.replace("-", "_")) for each in pinned(package)
    }
    script = "\n".join(
        f"import importlib.util; assert importlib.util.find_spec({module!r})"
        if name in OF_TORCH
        else f"import {module}"
        for name, module in modules.items()
    )
    imported = subprocess.run(
        [python, "-c", script], env=environment(), capture_output=True, text=True
    )
    assert imported.returncode == 0, imported.stderr[-2000:]
