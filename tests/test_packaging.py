"""What is in the wheel, and what `pip install lensa` alone brings."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BASE_DEPENDENCIES = {
    "boto3",
    "pydantic",
    "pydantic-settings",
    "typer",
    "rich",
    "pillow",
    "pyyaml",
    "tomlkit",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (path,) = folder.glob("lensa-*.whl")
    return path


def test_the_entrypoints_travel_as_a_bundle_and_not_as_packages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "lensa/_bundle/training_entrypoint/__main__.py" in names
    assert "lensa/_bundle/inference_entrypoint/inference.py" in names
    assert "lensa/_bundle/cloudformation/lensa.yaml" in names
    assert "lensa/prompts/packs/mini.toml" in names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"lensa"}
    assert not [name for name in names if name.endswith(".safetensors")]
    assert wheel.stat().st_size < 1_000_000


def test_the_client_needs_nothing_of_the_ml_stack(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        lines = archive.read(metadata).decode().splitlines()
    needed = [line.split(": ")[1] for line in lines if line.startswith("Requires-Dist: ")]
    plain = {line.split(">")[0].split("<")[0] for line in needed if "extra ==" not in line}
    assert plain == BASE_DEPENDENCIES
    assert "License-Expression: Apache-2.0" in lines


@pytest.mark.slow
def test_installed_alone_it_is_small_and_works(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own, from the index: under 100 MB, and the command answers."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    before = size(tmp_path / "venv")
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *constraints, str(wheel)], check=True)
    assert size(tmp_path / "venv") - before < 100_000_000
    answer = subprocess.run([python.parent / "lensa", "--help"], capture_output=True, text=True)
    assert "generate" in answer.stdout
    (tmp_path / "photos").mkdir()
    train = [python.parent / "lensa", "train", str(tmp_path / "photos"), "--base", "micro"]
    refused = subprocess.run(train, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "pip install 'lensa[local]'" in refused.stderr


def size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
