"""What goes over the wire: media types, and which of them an answer has.

Nothing here needs the ML stack: whoever refuses a request has not loaded it.
"""

from __future__ import annotations

from lensa.contract import GenerationRequest
from lensa.contract.generation import ImageFormat
from lensa.errors import ConfigError

JSON = "application/json"
EVENTS = "text/event-stream"
IMAGE_TYPES: dict[str, ImageFormat] = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/webp": "webp",
}


def negotiate(request: GenerationRequest, accept: str) -> ImageFormat | None:
    """Return the format of the one image that is the answer, or None for JSON.

    Raises ConfigError if several images were to go into one file, or the type is unknown.
    """
    for wanted in map(media_type, accept.split(",")):
        if wanted in ("", "*/*", "application/*", JSON):
            return None
        if wanted in IMAGE_TYPES or wanted == "image/*":
            if request.count != 1:
                raise ConfigError(
                    f"generation: count = {request.count}, and {wanted} holds one image: "
                    f"ask for one, or accept {JSON}."
                )
            return IMAGE_TYPES.get(wanted, request.format)
    known = ", ".join((JSON, *IMAGE_TYPES))
    raise ConfigError(f"generation: Accept {accept!r} cannot be answered. Ask for {known}.")


def wants_events(accept: str) -> bool:
    """Whether the answer is to come as server-sent events."""
    return EVENTS in map(media_type, accept.split(","))


def media_type(header: str) -> str:
    """Return a media type without its parameters: "text/html;q=0.8" is "text/html"."""
    return header.split(";")[0].strip().lower()
