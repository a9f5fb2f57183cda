"""Process 1 of the training container, `python3 /opt/ml/input/data/code/lensa.pyz train`, and of
our own serving image, `python3 /opt/ml/model/code/lensa.pyz serve`.

Installs what the image lacks, reads the secrets, and goes on as the training or the server itself,
in the same process: signals reach it directly. Its ends are those of `training_entrypoint` and of
`inference_entrypoint.server`, and before that

    2    the container cannot be set up: `output/failure` says what to change
    143  stopped by SIGTERM; nothing had begun
"""

from __future__ import annotations

import os
import signal
import sys
import time
from types import FrameType

_STARTED = time.monotonic()


class Ended(BaseException):
    """SIGTERM or SIGINT came while there was nothing to save."""


class Ending:
    """Handles signals until the training does: as process 1 they have no default action."""

    def __init__(self) -> None:
        self.requested = False

    def listen(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)

    def check(self) -> None:
        """Raise Ended if a signal came where the exception was lost, as in a destructor."""
        if self.requested:
            raise Ended

    def _end(self, signum: int, frame: FrameType | None) -> None:
        self.requested = True
        raise Ended


def main(arguments: list[str], program: str) -> int:
    """Run the container and return its exit status. `program` is the bundle's path."""
    ending = Ending()
    try:
        ending.listen()
        # Late: a signal that comes before there is a handler is lost for process 1.
        from launcher.container import run

        return run(arguments, program, _STARTED, ending.check)
    except Ended:
        from launcher.say import event

        event("end", status="stopped", step=0, message="stopped before it began")
        return 143


if __name__ == "__main__":
    status = main(sys.argv[1:], sys.argv[0])
    sys.stdout.flush()
    sys.stderr.flush()
    # wandb and tokenizers leave threads behind that can hold up the interpreter's own exit.
    os._exit(status)
