"""The pinned requirements: compared with what the image has, and installed where they differ."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from launcher.say import SetupError, stage

_UNREACHABLE = re.compile("NewConnectionError|ConnectTimeout|name resolution|Max retries|timed out")
# `never` takes what is installed as it is, in an image that is not the one of the pins: a test's.
INSTALL = "LENSA_INSTALL"

# The packages whose requirements.txt are meant.
TRAINING = "training_entrypoint"
SERVING = "inference_entrypoint"

_NAMED = re.compile(r"\b([A-Za-z0-9][\w.-]*==[\w.+!]+)")


@dataclass(frozen=True)
class Requirement:
    """One pin: `line` is how requirements.txt has it, with its hashes."""

    name: str
    version: str
    line: str


def pinned(package: str = TRAINING) -> list[Requirement]:
    """Return the requirements of the training or of serving, from inside the bundle."""
    return parse(files(package).joinpath("requirements.txt").read_text("utf-8"))


def parse(text: str) -> list[Requirement]:
    """Read name==version lines, each with its hashes on lines of their own behind it."""
    found = []
    for block in text.replace("\\\n", " ").splitlines():
        if block and not block.startswith("#"):
            name, _, version = block.split()[0].partition("==")
            found.append(Requirement(name, version, " ".join(block.split())))
    return found


def differing(
    requirements: Iterable[Requirement], installed: Callable[[str], str] | None = None
) -> list[Requirement]:
    """Return those that are missing here or there in another version."""
    installed = installed or importlib.metadata.version

    def version(name: str) -> str | None:
        try:
            return installed(name)
        except importlib.metadata.PackageNotFoundError:
            return None

    return [each for each in requirements if version(each.name) != each.version]


def normal(name: str) -> str:
    """Return a distribution's name in the form in which pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def prepare(wheels: Path, package: str = TRAINING) -> list[Requirement]:
    """Make what is installed agree with the pins, from `wheels` if that folder is there; return
    what was installed.

    LENSA_INSTALL=never leaves it as it is, and says what differs. Raises SetupError.
    """
    missing = differing(pinned(package))
    if not missing:
        return []
    if os.environ.get(INSTALL) == "never":
        names = ", ".join(f"{each.name} {each.version}" for each in missing)
        stage(f"nothing is installed ({INSTALL}=never), though these are pinned: {names}")
        return []
    local = wheels if wheels.is_dir() else None
    source = "the bundle's wheels" if local else "the package index"
    names = ", ".join(f"{each.name} {each.version}" for each in missing)
    stage(f"{len(missing)} packages from {source}: {names}")
    install(missing, local)
    importlib.invalidate_caches()
    still = differing(missing)
    if still:
        raise SetupError(
            f"pip installed {still[0].name} {still[0].version}, but {sys.executable} still sees "
            "another version of it: use an image whose Python packages can be replaced."
        )
    return missing


def install(requirements: list[Requirement], wheels: Path | None) -> None:
    """Install exactly these, each checked against its hashes. Raises SetupError."""
    if importlib.util.find_spec("pip") is None:
        raise SetupError(
            f"{requirements[0].name} {requirements[0].version} is not installed and "
            f"{sys.executable} has no pip: use an image whose Python has pip."
        )
    source = ["--no-index", "--find-links", str(wheels)] if wheels else []
    with tempfile.TemporaryDirectory(prefix="lensa-") as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text("\n".join(each.line for each in requirements) + "\n")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input"]
        command += ["--no-deps", "--require-hashes", "--only-binary=:all:"]
        command += ["--retries", "3", "--timeout", "15", *source, "--requirement", str(file)]
        done = subprocess.run(
            command, env=_environment(isolated=wheels is not None), capture_output=True, text=True
        )
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
        raise SetupError(explain(done.stderr, requirements, wheels is not None))


def explain(output: str, requirements: list[Requirement], local: bool) -> str:
    """Return what pip's output means, and what to do about it."""
    errors = [line.strip() for line in output.splitlines() if line.strip()]
    known = {f"{each.name}=={each.version}": each for each in requirements}
    named = [name for line in errors for name in _NAMED.findall(line) if name in known]
    which = named[-1] if named else f"one of {len(known)} packages"
    last = next((line for line in reversed(errors) if line.startswith("ERROR")), errors[-1:])
    if "DO NOT MATCH THE HASHES" in output:
        return (
            f"{which} cannot be installed: its file is not the one that was pinned. Check the "
            "package index or mirror that pip uses in this container: what differs is refused."
        )
    if local:
        return (
            f"{which} cannot be installed from the wheels in the code bundle: {_text(last)}. They "
            "are for Python 3.12 on x86_64 Linux: use such an image, and build the bundle anew."
        )
    if _UNREACHABLE.search(output):
        return (
            f"{which} cannot be installed: the package index cannot be reached from this "
            "container. Give its subnets a way to it, or use network isolation: then the "
            "packages travel with the code."
        )
    return (
        f"{which} cannot be installed: {_text(last)}. Use network isolation, with which the "
        "packages travel with the code, or an image that has it."
    )


def _text(line: str | list[str]) -> str:
    text = line if isinstance(line, str) else " ".join(line)
    return text.removeprefix("ERROR:").strip().rstrip(".")[:400] or "pip gave no reason"


def _environment(isolated: bool) -> dict[str, str]:
    """The container is ours alone: pip may replace what its distribution installed."""
    own = {
        "PIP_BREAK_SYSTEM_PACKAGES": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    if isolated:
        own["PIP_CONFIG_FILE"] = os.devnull  # another index or folder of wheels has no say
    return {**os.environ, **own}
