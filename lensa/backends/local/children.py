"""The environment and the command of a child process that runs an entrypoint."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from lensa.backends.bundle import bundle_paths
from lensa.contract import BaseModelRef
from lensa.errors import BaseModelError, ConfigError


def require_ml_stack(base: BaseModelRef) -> None:
    """Raise UserError if the libraries or the packaged weights are not installed.

    They are looked for, not imported: the client stays light.
    """
    missing = [
        name for name in ("torch", "diffusers", "transformers", "peft") if find_spec(name) is None
    ]
    if missing:
        raise ConfigError(
            f"this needs {', '.join(missing)} on this machine: pip install 'lensa[local]'."
        )
    if base.source == "package" and find_spec(base.location) is None:
        raise BaseModelError(
            f"base model {base.name!r} comes with the package lensa-mini, which is not installed: "
            "pip install lensa-mini."
        )


def child_environment(root: Path, **extra: str) -> dict[str, str]:
    """Return the environment of a container process whose `/opt/ml` is `root`."""
    inherited = os.environ.get("PYTHONPATH")
    paths = [str(path) for path in bundle_paths()] + ([inherited] if inherited else [])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
        "SAGEMAKER_BASE_DIR": str(root),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "WANDB_ERROR_REPORTING": "false",
        **extra,
    }
    # Idle OpenMP threads that spin take the cores from those that work: 10 to 70 times slower on
    # small models where cores are few.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return environment


def entrypoint(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]
