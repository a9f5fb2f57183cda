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
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from launcher.requirements import SERVING, Requirement, normal, prepare
from launcher.say import SetupError, event
from launcher.surroundings import surround

log = logging.getLogger("lensa.server")

Handler = Callable[..., Any]
Handlers = tuple[Handler, Handler, Handler, Handler]
AGAIN = 75  # exit code: what was installed is seen by a new process only


def handlers(code: Path) -> Handlers:
    """Return model_fn, input_fn, predict_fn and output_fn. `code` is the folder of the bundle.

    What stands in their way is told by them, to whoever asks for an image: an exception from here
    would be a 400 of the toolkit's own words.
    """
    try:
        surround(os.environ)
        installed = prepare(code / "wheels", SERVING)
        if old := already_imported(installed):
            event("stage", stage="installing", message=f"starting again, for {', '.join(old)}")
            sys.stderr.flush()
            os._exit(AGAIN)
        from launcher.secrets import read_secrets  # late: see launcher/container.py

        read_secrets(os.environ)
        from inference_entrypoint import aws_image
    except Exception as error:
        log.exception("setting up failed")
        return _telling(error)
    return aws_image.model_fn, aws_image.input_fn, aws_image.predict_fn, aws_image.output_fn


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


def _telling(error: Exception) -> Handlers:
    """Return handlers that answer every request with what went wrong."""
    from inference_entrypoint.aws_context import refuse
    from inference_entrypoint.statuses import Refusal, words

    message = str(error) if isinstance(error, SetupError) else words(error)
    refused = Refusal(500, type(error).__name__, message)

    def model_fn(model_dir: str, context: Any) -> Refusal:
        return refused

    def input_fn(body: Any, content_type: str | None, context: Any) -> Refusal:
        return refused

    def predict_fn(request: Any, model: Any, context: Any) -> Refusal:
        return refused

    def output_fn(response: Any, accept: str, context: Any) -> str:
        return refuse(refused, context)

    return model_fn, input_fn, predict_fn, output_fn
