"""Makes the containers' requirements.txt anew: `python tests/launcher/lock.py`.

The versions are those of constraints.txt, the packages those that the roots need. The hashes are
those of the wheels for the containers' Python and for the one that the tests run on. It takes a
minute or two; of torch and its CUDA the wheels are downloaded, where the index has no metadata.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lensa.backends.bundle import PYTHON, platform_options

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = (PYTHON, "3.11")  # the containers', and that of the tests

_DRAWING = (
    "accelerate",
    "compel",
    "diffusers",
    "huggingface_hub",
    "peft",
    "pillow",
    "pydantic",
    "safetensors",
    "transformers",
)
TRAINING = "training_entrypoint/requirements.txt"
SERVING = "inference_entrypoint/requirements.txt"
OWN_IMAGE = "infra/docker/serving/requirements.txt"
ROOTS = {
    TRAINING: (
        *_DRAWING,
        "bitsandbytes",
        "matplotlib",
        "prodigyopt",
        "tensorboardX",
        "torchmetrics",
        "wandb",
    ),
    SERVING: (*_DRAWING, "opencv-python-headless"),
    OWN_IMAGE: (
        *_DRAWING,
        "boto3",
        "opencv-python-headless",
        "prometheus_client",
        "starlette",
        "uvicorn",
    ),
}
# What our own image has below them: the torch of AWS's Hugging Face inference image, and its CUDA.
TORCH = "infra/docker/serving/torch.txt"
TORCH_ROOTS = ("torch==2.6.0", "setuptools==80.9.0")  # which torch wants from Python 3.12 on
# The image's own: built against its CUDA, or against each other.
OF_THE_IMAGE = ("torch", "numpy")

WHO = {
    TRAINING: "the training needs",
    SERVING: "drawing at an endpoint needs",
    OWN_IMAGE: "our own serving image needs",
}
HEADER = """\
# What {who} above torch and numpy, which are the image's own. Versions are those of
# constraints.txt; hashes are of the wheels for Python 3.12 and 3.11 on x86_64 Linux.
# Made by: python tests/launcher/lock.py
"""


TORCH_HEADER = """\
# What our own serving image has below requirements.txt: torch, its CUDA and numpy. Hashes are of
# the wheels for Python 3.12 on x86_64 Linux. Made by: python tests/launcher/lock.py
"""


def pins(constraints: str) -> dict[str, str]:
    """Return name -> version of a constraints file, the names in their canonical form."""
    lines = [line.strip() for line in constraints.splitlines()]
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def closure(roots: tuple[str, ...]) -> list[str]:
    """Return the roots and everything that they need on the containers' Python, sorted."""
    environment = {
        "python_version": PYTHONS[0],
        "python_full_version": f"{PYTHONS[0]}.0",
        "extra": "",
    }
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in roots]
    while waiting:
        name = waiting.pop()
        if name in found or name in OF_THE_IMAGE or name.startswith("nvidia-"):
            continue
        found.add(name)
        for line in requires(name) or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate(environment):
                waiting.append(canonicalize_name(needed.name))
    return sorted(found)


def hashes(pinned: list[str], python: str) -> dict[str, str]:
    """Return name -> sha256 of the wheel that pip would choose for a version of Python."""
    return {name: digest for name, _, digest in chosen(pinned, python, "--no-deps")}


def chosen(wanted: list[str], python: str, *options: str) -> list[tuple[str, str, str]]:
    """Return the name, version and sha256 of each wheel that pip would install."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        file = Path(folder) / "requirements.txt"
        file.write_text("\n".join(wanted))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", *options]
        command += ["--ignore-installed", "--report", str(report), "--target", folder]
        command += [*platform_options(python), "--requirement", str(file)]
        subprocess.run(command, check=True)
        installs = json.loads(report.read_text())["install"]
    return [
        (
            canonicalize_name(each["metadata"]["name"]),
            each["metadata"]["version"],
            each["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for each in installs
    ]


def locked(target: str) -> str:
    """Return what belongs into a requirements.txt."""
    versions = pins((ROOT / "constraints.txt").read_text())
    names = closure(ROOTS[target])
    pinned = [f"{name}=={versions[name]}" for name in names]
    found = [hashes(pinned, python) for python in PYTHONS]
    blocks = []
    for name, line in zip(names, pinned, strict=True):
        digests = dict.fromkeys(each[name] for each in found)  # a pure wheel serves both
        blocks.append(" \\\n".join([line, *(f"    --hash=sha256:{digest}" for digest in digests)]))
    return HEADER.format(who=WHO[target]) + "\n".join(blocks) + "\n"


def torch_locked() -> str:
    """Return what belongs into the file of our own image's torch."""
    versions = pins((ROOT / "constraints.txt").read_text())
    above = closure(ROOTS[OWN_IMAGE])  # they have their pins already
    found = chosen([*TORCH_ROOTS, f"numpy=={versions['numpy']}"], PYTHON)
    lines = [
        f"{name}=={version} \\\n    --hash=sha256:{digest}"
        for name, version, digest in sorted(found)
        if name not in above
    ]
    return TORCH_HEADER + "\n".join(lines) + "\n"


def main() -> None:
    for target in ROOTS:
        (ROOT / target).write_text(locked(target))
    (ROOT / TORCH).write_text(torch_locked())


if __name__ == "__main__":
    main()
