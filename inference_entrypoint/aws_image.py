"""The handlers that AWS's Hugging Face image calls: those of inference.py, their errors as answers.

Its toolkit turns every exception of a handler into a 400 with a body of its own. So none leaves
here: an error becomes a Refusal, which is handed on from handler to handler in the place of what it
kept from being made, and `output_fn` sends it with the status that is due.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from inference_entrypoint import inference
from inference_entrypoint.avatars import Avatar
from inference_entrypoint.aws_context import head, refuse
from inference_entrypoint.aws_model import Model
from inference_entrypoint.broken_gpu import leave_if_broken
from inference_entrypoint.library import Library
from inference_entrypoint.media import JSON, media_type, negotiate
from inference_entrypoint.statuses import Busy, Refusal, UnsupportedMediaType, refusal
from lensa.contract import GenerationRequest, GenerationResponse
from lensa.contract.asked import ATTRIBUTES_HEADER, PATIENCE, TOO_OLD, age

log = logging.getLogger("lensa.server")

T = TypeVar("T")


def model_fn(model_dir: str, context: Any) -> Model:
    """Load what is in the model folder. What is damaged is told to whoever asks for an image.

    The server's /ping would say that all is well in any case, and the toolkit would load again at
    each request.
    """
    return Model(lambda: inference.model_fn(model_dir))


def input_fn(
    body: str | bytes | None, content_type: str | None, context: Any
) -> GenerationRequest | Refusal:
    """Parse a request, and see that it can be answered as it wants to be, before it is drawn.

    Its turn has come now: SageMaker, and with it the client, may have given up on it long ago.
    """
    headers = context.get_all_request_header(0)
    return _or_refusal(context, _read, body, content_type, headers)


def predict_fn(
    request: GenerationRequest | Refusal, model: Model | Avatar | Library | Refusal, context: Any
) -> GenerationResponse | Refusal:
    """Draw."""
    if isinstance(request, Refusal):
        return request
    if isinstance(model, Model):
        with model.lock:
            return predict_fn(request, model.get(), context)
    if isinstance(model, Refusal):
        return model
    return _or_refusal(context, inference.predict_fn, request, model)


def output_fn(response: GenerationResponse | Refusal, accept: str, context: Any) -> str | bytes:
    """Return the body of the answer; its status and its type go through the context."""
    if isinstance(response, Refusal):
        return refuse(response, context)
    content = _or_refusal(context, inference.output_fn, response, accept)
    if isinstance(content, Refusal):
        return refuse(content, context)
    format = negotiate(response.request, accept)
    head(context, 200, JSON if format is None else f"image/{format}")
    return content


def _read(
    body: str | bytes | None, content_type: str | None, headers: dict[str, Any]
) -> GenerationRequest:
    spelled = {name.lower(): value for name, value in headers.items()}
    waited = age(spelled.get(ATTRIBUTES_HEADER.lower(), ""), time.time())
    if waited is not None and waited > PATIENCE:
        raise Busy(TOO_OLD, retry_after=5)
    if "content-encoding" in spelled or body is None or media_type(content_type or JSON) != JSON:
        raise UnsupportedMediaType(f"send {JSON}, not compressed.")
    request = inference.input_fn(body, JSON)
    accept = headers.get("Accept") or headers.get("accept") or JSON  # as the toolkit reads it
    format = negotiate(request, accept)
    return request if format is None else request.model_copy(update={"format": format})


def _or_refusal(context: Any, handler: Callable[..., T], *arguments: Any) -> T | Refusal:
    try:
        return handler(*arguments)
    except Exception as error:
        identity = context.get_request_id(0)
        refused = refusal(error, identity)
        if refused.status == 500:
            log.exception("request %s failed", identity)
            leave_if_broken(error)
        return refused
