"""What a start does without: imports are most of what it takes."""

from __future__ import annotations

import gc
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager

# bitsandbytes is for one optimizer, the others for metrics and formats: a second and a half
# together. The libraries import them because they are there, and drawing never uses them. But a
# training's base may: diffusers makes up its mind at import whether scipy is there, and some
# schedulers (LMSDiscreteScheduler, use_beta_sigmas) need it.
_UNUSED = ("bitsandbytes", "sklearn", "scipy", "pandas", "torchao", "onnxruntime", "tensorflow")


def leave_out(*names: str) -> list[str]:
    """Let these (none: all of the above) look as if they were not installed, in this process.

    Must be called before torch and diffusers are imported: what is imported already stays. Returns
    the names that this call left out.
    """
    left_out = [name for name in names or _UNUSED if name not in sys.modules]
    for name in left_out:
        sys.modules[name] = None  # type: ignore[assignment]
    return left_out


def bring_back(*names: str) -> None:
    """Let what was left out (none: all of it) be imported again."""
    for name in names or _UNUSED:
        if sys.modules.get(name, sys) is None:
            del sys.modules[name]


@contextmanager
def lean_imports(*, keep: Collection[str] = ()) -> Iterator[None]:
    """Import torch and diffusers within, in half the time: without the unused and without looking
    for garbage.

    Others import the unused afterwards. What is imported within may have made up its mind by then
    that they are not installed: `keep` names those that it has to see.

    Imports make a million objects and no garbage; the collector looks through all of them again and
    again. What is there in the end is there for good, and it need not look at it any more.
    """
    unused = [name for name in _UNUSED if name not in keep]
    left_out, collecting = leave_out(*unused), gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        bring_back(*left_out)
        gc.freeze()
        if collecting:
            gc.enable()
