"""Count what a program asks of the networks.

    python training_calls.py OUT.json SCRIPT [ARGUMENT...]
    python training_calls.py OUT.json -m MODULE [ARGUMENT...]

The program runs as it is. OUT.json gets how many images (rows of a batch) the UNet predicted with
gradients and without, and how many the VAE encoded and decoded.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from collections import Counter
from pathlib import Path
from typing import Any


def count(network: type, method: str, counted: Counter[str], name: str) -> None:
    import torch

    own = getattr(network, method)

    def counting(self: Any, rows: Any, *args: Any, **options: Any) -> Any:
        learns = torch.is_grad_enabled() and any(p.requires_grad for p in self.parameters())
        counted[f"{name}, trained" if learns else name] += len(rows)
        return own(self, rows, *args, **options)

    setattr(network, method, counting)


def main() -> None:
    out, name, arguments = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    sys.path[:1] = []  # this folder
    from diffusers import AutoencoderKL, UNet2DConditionModel

    counted: Counter[str] = Counter()
    count(UNet2DConditionModel, "forward", counted, "unet")
    count(AutoencoderKL, "encode", counted, "encode")
    count(AutoencoderKL, "decode", counted, "decode")
    leave = os._exit

    def save() -> None:
        out.write_text(json.dumps(counted))

    def exiting(code: int) -> None:  # a way out that no `finally` sees
        save()
        leave(code)

    os._exit = exiting  # type: ignore[assignment]
    try:
        if name == "-m":
            sys.argv = arguments
            runpy.run_module(arguments[0], run_name="__main__")
        else:
            sys.argv = [name, *arguments]
            runpy.run_path(name, run_name="__main__")
    finally:
        save()


if __name__ == "__main__":
    main()
