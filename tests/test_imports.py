"""The house's floors: imports run downward only, and the client never touches the ML stack.

Read from the source, so that an import inside a function counts as well.
"""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import lensa

ROOT = Path(lensa.__file__).resolve().parent.parent
HEAVY = {"torch", "diffusers", "transformers", "peft", "accelerate", "bitsandbytes"}
ARRAYS = {"numpy", "cv2", "dlib"}
ENTRYPOINTS = {"launcher", "training_entrypoint", "inference_entrypoint"}

# From the ground up. A module may import from its own floor and from those below.
FLOORS = [
    ["lensa.errors", "lensa.__version__"],
    [
        "lensa.contract",
        "lensa.photos",
        "lensa.prompts",
        "lensa.settings",
        "lensa.configuration",
        "lensa.bases",
        "lensa.concepts",
        "lensa.tokens",
    ],
    ["lensa.costs"],
    ["lensa.backends"],
    [
        "lensa.avatar",
        "lensa.job",
        "lensa.endpoint",
        "lensa.gallery",
        "lensa.pending",
        "lensa.requests",
        "lensa.sending",
        "lensa.id_photo",
        "lensa.like",
        "lensa.display",
        "lensa.consent",
        "lensa.diagnosis",
        "lensa.planning",
        "lensa.preparing",
        "lensa.serving",
        "lensa.summary",
        "lensa.telling",
        "lensa.exporting",
    ],
    ["lensa.client"],
    ["lensa.batches"],
    ["lensa.demo", "lensa.sheet", "lensa.testing"],
    ["lensa.cli"],
]


def modules(package: str) -> dict[str, Path]:
    found = {}
    for path in (ROOT / package).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = path
    return found


def imports(path: Path) -> set[str]:
    """Return the dotted names that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            # `from lensa import errors` imports a module, `from lensa.errors import X` a name.
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def floor(name: str) -> int | None:
    for level, members in enumerate(FLOORS):
        if any(name == member or name.startswith(f"{member}.") for member in members):
            return level
    return None


@pytest.mark.parametrize(("name", "path"), sorted(modules("lensa").items()))
def test_the_client_imports_downward_and_stays_light(name: str, path: Path) -> None:
    tops = {imported.split(".")[0] for imported in imports(path)}
    # Detectors and maskers live on arrays; they are loaded to look at photos, where installed.
    looks = name.startswith(("lensa.photos.detectors.", "lensa.photos.maskers."))
    forbidden = HEAVY if looks else HEAVY | ARRAYS
    assert not tops & forbidden, f"{name} imports the ML stack"
    assert not tops & ENTRYPOINTS, f"{name} imports an entrypoint; it starts them as processes"
    if name == "lensa":
        return  # the public face looks up at everything, lazily
    level = floor(name)
    assert level is not None, f"{name} stands on no floor: add it to FLOORS"
    for imported in imports(path):
        above = floor(imported)
        assert above is None or above <= level, f"{name} imports {imported}, which is above it"


@pytest.mark.parametrize("package", sorted(ENTRYPOINTS))
def test_entrypoints_know_only_the_contract(package: str) -> None:
    for name, path in modules(package).items():
        for imported in imports(path):
            top = imported.split(".")[0]
            if top == "lensa":
                allowed = imported.startswith(("lensa.contract", "lensa.errors"))
                assert allowed, f"{name} imports {imported}"
            above = {
                "inference_entrypoint": {"launcher", "training_entrypoint"},
                "training_entrypoint": {"launcher"},
            }
            assert top not in above.get(package, set()), f"{name} imports {imported}"


def test_there_are_no_circles() -> None:
    modules = all_modules()
    graph = {
        name: {
            other
            for imported in imports(path)
            for other in modules
            if (imported == other or imported.rpartition(".")[0] == other) and other != name
        }
        for name, path in modules.items()
        if name != "lensa"
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name in done:
            return
        for other in graph.get(name, set()):
            visit(other, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def all_modules() -> dict[str, Path]:
    return {
        name: path
        for package in ("lensa", *sorted(ENTRYPOINTS))
        for name, path in modules(package).items()
    }


@pytest.mark.parametrize("command", ["import lensa", "from lensa.cli import app"])
def test_starting_up_loads_neither_botocore_nor_the_ml_stack(command: str) -> None:
    script = f"import sys; {command}; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in out.stdout.split()}
    assert not loaded & (HEAVY | ENTRYPOINTS | {"boto3", "botocore", "pydantic", "PIL"})


def test_every_public_name_is_there() -> None:
    assert sorted(lensa.__all__) == lensa.__all__
    for name in lensa.__all__:
        assert getattr(lensa, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        lensa.trian  # noqa: B018


def test_a_function_is_not_hidden_by_the_module_of_its_name() -> None:
    assert lensa.Avatar.__module__ == "lensa.avatar"  # which is imported now
    assert lensa.Endpoint.__module__ == "lensa.endpoint"
    for name in ("avatar", "endpoint"):
        assert inspect.isfunction(getattr(lensa, name))
