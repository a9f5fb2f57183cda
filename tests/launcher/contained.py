"""A container as the launcher finds it: an interpreter that does not know the checkout, the code
bundle, and the folders of the job."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv
import zipfile
from pathlib import Path

from training.running import Job, make_job

from lensa.backends.bundle import BUNDLE_NAME, build_bundle


def make_interpreter(folder: Path, libraries: bool = True) -> Path:
    """Make a Python of its own; with `libraries`, it has what is installed here but no checkout:
    a plain path in a .pth file brings a folder, not the .pth files in it."""
    venv.create(folder, with_pip=False, symlinks=True)
    (own,) = folder.glob("lib/python3*/site-packages")
    if libraries:
        (own / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"


def environment(job: Job | None = None, **extra: str) -> dict[str, str]:
    """What the container's process is given; nothing of it leads to the checkout."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    root = {} if job is None else {"SAGEMAKER_BASE_DIR": str(job.layout.root)}
    return {**kept, **root, "TRAINING_JOB_NAME": "lensa-7k2m0000-1f3a9c2e", **extra}


def contain(job: Job) -> Path:
    """Put the configuration and the code where a container has them; return the bundle's path."""
    job.layout.config.parent.mkdir(parents=True, exist_ok=True)
    job.layout.config.write_text(job.config.model_dump_json())
    code = job.layout.channel("code")
    code.mkdir(parents=True, exist_ok=True)
    (code / BUNDLE_NAME).write_bytes(build_bundle().data)
    return code / BUNDLE_NAME


def container(folder: Path, **changes: object) -> tuple[Job, Path]:
    """Return a job with all its inputs, and the bundle that runs it."""
    job = make_job(folder, **changes)
    return job, contain(job)


def require(bundle: Path, requirements: str) -> None:
    """Give a bundle other requirements, for tests that must not install the real ones."""
    other = bundle.with_suffix(".other")
    with zipfile.ZipFile(bundle) as source, zipfile.ZipFile(other, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            own = requirements.encode()
            target.writestr(name, own if name.endswith("requirements.txt") else content)
    other.replace(bundle)


def make_wheel(folder: Path, name: str = "lensa_probe", version: str = "1.0") -> Path:
    """Write the smallest wheel there is."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n"
    tags = "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members = {f"{name}.py": "", f"{info}/METADATA": metadata, f"{info}/WHEEL": tags}
    record = "".join(f"{member},,\n" for member in [*members, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as wheel:
        for member, content in {**members, f"{info}/RECORD": record}.items():
            wheel.writestr(member, content)
    return path


def run(python: Path, bundle: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, bundle, "train"], env=env, cwd=bundle.parent, capture_output=True, text=True
    )
