"""What the libraries of every container of ours are told, before they are imported."""

from __future__ import annotations

from collections.abc import MutableMapping

_ENVIRONMENT = {
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "WANDB_ERROR_REPORTING": "false",
    # Idle OpenMP threads that spin take the cores from those that work.
    "OMP_WAIT_POLICY": "PASSIVE",
}


def surround(environ: MutableMapping[str, str]) -> None:
    """Set what is not set yet: said here, so that it holds whoever wrote the request."""
    for name, value in _ENVIRONMENT.items():
        environ.setdefault(name, value)
