"""The handlers for AWS's Hugging Face image, once what it lacks is installed.

Its toolkit imports `code/inference.py` in the process that will draw, and has imported libraries of
its own by then. If one of those was replaced a moment ago, the old one would stay in memory: that
process ends, and the server starts it again, as a fork of one that has imported none but psutil.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from launcher.requirements import SERVING, Requirement, normal, prepare
from launcher.say import SetupError, event
from launcher.surroundings import surround

log = logging.getLogger("lensa.server")

Handler = Callable[..., Any]
Handlers = tuple[Handler, Handler, Handler, Handler]
AGAIN = 75  # exit code: what was installed is seen by a new process only
RETRY = 30.0  # seconds for which what failed is told without being tried again


def handlers(code: Path, clock: Callable[[], float] = time.monotonic) -> Handlers:
    """Return model_fn, input_fn, predict_fn and output_fn. `code` is the folder of the bundle.

    What stands in their way is told by them, to whoever asks for an image: an exception from here
    would be a 400 of the toolkit's own words.
    """
    try:
        ours = _set_up(code)
    except Exception as error:
        waiting = _Waiting(code, error, clock)
        return waiting.model_fn, waiting.input_fn, waiting.predict_fn, waiting.output_fn
    return ours.model_fn, ours.input_fn, ours.predict_fn, ours.output_fn


def _set_up(code: Path) -> ModuleType:
    """Return the module of our handlers, once they have what they need."""
    surround(os.environ)
    installed = prepare(code / "wheels", SERVING)
    if old := already_imported(installed):
        event("stage", stage="installing", message=f"starting again, for {', '.join(old)}")
        sys.stderr.flush()
        os._exit(AGAIN)
    from launcher.secrets import read_secrets  # late: see launcher/container.py

    read_secrets(os.environ)
    from inference_entrypoint.unused import lean_imports, leave_out

    leave_out()
    with lean_imports():
        from inference_entrypoint import aws_image

    return aws_image


def already_imported(installed: Iterable[Requirement]) -> list[str]:
    """Return which of the packages that were just installed this process had imported before."""
    names = {each.name for each in installed}
    if not names:
        return []
    providers = importlib.metadata.packages_distributions()
    loaded = {name.partition(".")[0] for name in sys.modules}
    return sorted(
        {
            normal(distribution)
            for module in loaded & providers.keys()
            for distribution in providers[module]
        }
        & names
    )


class _Waiting:
    """Handlers that answer what went wrong, and try once in a while whether it has passed: nothing
    else starts this process anew."""

    def __init__(self, code: Path, error: Exception, clock: Callable[[], float]) -> None:
        self._code, self._clock = code, clock
        self._ours: ModuleType | None = None
        self._model_dir, self._model = "", None
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        from inference_entrypoint.statuses import Refusal, words

        log.error("setting up failed", exc_info=error)
        message = str(error) if isinstance(error, SetupError) else words(error)
        self._refused = Refusal(500, type(error).__name__, message)
        self._again = self._clock() + RETRY

    def _try_again(self) -> None:
        if self._ours is None and self._clock() >= self._again:
            try:
                self._ours = _set_up(self._code)
            except Exception as error:
                self._fail(error)

    def model_fn(self, model_dir: str, context: Any) -> None:
        self._model_dir = model_dir

    def input_fn(self, body: Any, content_type: str | None, context: Any) -> Any:
        self._try_again()
        if self._ours is None:
            return self._refused
        return self._ours.input_fn(body, content_type, context)

    def predict_fn(self, request: Any, model: Any, context: Any) -> Any:
        if self._ours is None:
            return self._refused
        if self._model is None:
            self._model = self._ours.model_fn(self._model_dir, context)
        return self._ours.predict_fn(request, self._model, context)

    def output_fn(self, response: Any, accept: str, context: Any) -> Any:
        from inference_entrypoint.aws_context import refuse

        if self._ours is None:
            return refuse(self._refused, context)
        return self._ours.output_fn(response, accept, context)
