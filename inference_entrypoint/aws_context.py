"""What the toolkit of AWS's image lets a handler say beside its body: a status and headers.

Without the ML stack: a refusal is told though nothing could be loaded.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from inference_entrypoint.statuses import Refusal

JSON = "application/json"

log = logging.getLogger("lensa.server")


def head(context: Any, status: int, content_type: str) -> None:
    """Set the status and the type of the answer, and log it."""
    log.info("request %s: %d", context.get_request_id(0), status)  # the answer's x-request-id
    context.set_response_status(status, HTTPStatus(status).phrase)
    # The toolkit sets "content-type" to the whole Accept header when we are done. The server lets
    # the last spelling of a name win, in the order of Java's hash table, and that is this one.
    context.set_response_header(0, "Content-Type", content_type)


def refuse(refused: Refusal, context: Any) -> str:
    """Return the body of a refusal; its status goes through the context."""
    head(context, refused.status, JSON)
    if refused.retry_after is not None:
        context.set_response_header(0, "Retry-After", str(refused.retry_after))
    return refused.body
