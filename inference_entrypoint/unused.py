"""What the libraries import because it is there, and drawing never uses."""

from __future__ import annotations

import sys

# bitsandbytes is for training, the others for metrics and formats: a second and a half together.
_UNUSED = ("bitsandbytes", "sklearn", "scipy", "pandas", "torchao", "onnxruntime", "tensorflow")


def leave_out() -> None:
    """Let them look as if they were not installed, in this process: for one that only draws.

    Must be called before torch and diffusers are imported. What is imported already stays.
    """
    for name in _UNUSED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
