"""A GPU whose driver refuses all work from now on: only a new process is given any."""

from __future__ import annotations

import logging
import os

BROKEN = 70  # exit code

log = logging.getLogger("lensa.server")


def is_broken(error: BaseException) -> bool:
    """Whether an error is CUDA's own, after which every call of this process fails.

    Too little memory is none: it says "CUDA out of memory".
    """
    return "CUDA error" in str(error)


def leave_if_broken(error: BaseException) -> None:
    """End this process if the GPU is lost to it. Whoever started it starts another one."""
    if is_broken(error):
        log.critical("the GPU's driver gave up, and this process with it: %s", error)
        os._exit(BROKEN)
