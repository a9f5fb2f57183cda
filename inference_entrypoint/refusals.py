"""What a client reads instead of an answer: {"error": {"type": ..., "message": ...}}."""

from __future__ import annotations

from starlette.responses import JSONResponse

_KINDS = {
    400: "BadRequest",
    401: "Unauthorized",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "Timeout",
    413: "TooLarge",
    415: "UnsupportedMediaType",
    503: "Busy",
}


def error_response(
    status: int, message: str, kind: str | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    """Return an error as JSON; its kind follows from the status unless it has one of its own."""
    kind = kind or _KINDS.get(status, "Error")
    return JSONResponse({"error": {"type": kind, "message": message}}, status, headers=headers)
