"""What a container says instead of drawing, as an error of ours.

Three kinds of servers speak there, each in its own form (docs/serving.md): our own, the inference
toolkit, and multi-model-server. Only our own says what is wrong with a request.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

from lensa.backends.sagemaker.refusals import cleaned
from lensa.errors import (
    AccountError,
    BaseModelError,
    ConfigError,
    EndpointBusy,
    EndpointError,
    LensaError,
    NotFoundError,
    TooMuchError,
)

_LONGEST = 600  # characters of a text that has none of the forms
_STATUS = re.compile(r"(?:error|status|code)\W*\(?(\d{3}|0)\b\)?", re.IGNORECASE)
_CUT_MESSAGE = re.compile(r'"message"\s*:\s*"((?:[^"\\]|\\.)*)')  # of JSON that was cut off
_CUT_TYPE = re.compile(r'"type"\s*:\s*"(\w+)"')
_NO_ANSWER = re.compile(r"could not get a response", re.IGNORECASE)
_TOO_LONG = re.compile(r"could not load the entire response body", re.IGNORECASE)
_TIMED_OUT = re.compile(r"timed?[ -]?out", re.IGNORECASE)

# By the type that our server names.
_OURS: dict[str, type[LensaError]] = {
    kind.__name__: kind
    for kind in (AccountError, BaseModelError, ConfigError, NotFoundError, TooMuchError)
}

# The names of "ask again". Ours says "Busy" for all of them; older ones named the reason.
_BUSY = {"Busy", "Going", "QueueFull", "Replaced", "ShelfBusy", "TurnTooLate"}


@dataclass(frozen=True)
class Said:
    """A container's words."""

    status: int | None  # 0: it said nothing, or not in time; None: nobody told us
    type: str  # of the error; "" if the server named none
    message: str
    ours: bool  # said by our server, in its own form


def read(status: int | None, body: str) -> Said:
    """Read a body that is no images. It may be cut off: SageMaker passes on 2 KB."""
    found = _json_in(body)
    if found is not None:
        error = found.get("error")
        said = error if isinstance(error, dict) else found
        type, message = str(said.get("type", "")), str(said.get("message") or body)
        ours = isinstance(error, dict)
    else:
        cut, kind = _CUT_MESSAGE.search(body), _CUT_TYPE.search(body)
        ours = '"error"' in body
        type = kind[1] if kind else ""
        message = _unquoted(cut[1]) + " ..." if cut else body.strip()[:_LONGEST]
    return Said(status, type, cleaned(message).strip() or "no reason given", ours)


def read_failure(text: str) -> Said:
    """Read what an asynchronous endpoint left in the place of an answer."""
    status = _STATUS.search(text)
    said = read(int(status[1]) if status else None, text)
    return replace(said, status=503) if said.ours and said.type in _BUSY else said


def error_for(said: Said, endpoint: str, log: str) -> LensaError:
    """Return the error to raise. `log` says where the endpoint's log is."""
    if said.ours and said.type in _OURS:
        kind = _OURS[said.type]
        return kind(f"{said.message} {log}" if kind is AccountError else said.message)
    if said.status == 503:
        return EndpointBusy(said.message, retry_after=0)
    if _TOO_LONG.search(said.message):
        return TooMuchError(
            f"{endpoint} has drawn more than the 6 MB that SageMaker passes on. Ask for fewer or "
            "smaller images at a time, or deploy the avatar with asynchronous=True."
        )
    if said.status in {408, 504} or _TIMED_OUT.search(said.message):
        return EndpointBusy(
            f"{endpoint} did not answer within the minute that SageMaker gives it (it still loads "
            "its model, or others are before you)",
            retry_after=0,
        )
    if said.status == 0 or _NO_ANSWER.search(said.message):
        return EndpointBusy(
            f"the container of {endpoint} gave no answer (it may have died, and be started again): "
            f"{said.message.rstrip('.')}",
            retry_after=0,
        )
    if said.status == 413:
        return TooMuchError(
            said.message
            if said.ours
            else f"{endpoint} takes no request of this length. Begin with a smaller image, or "
            "deploy the avatar with asynchronous=True."
        )
    if said.ours and said.status == 400:
        return ConfigError(said.message)
    answered = "gave no images" if said.status is None else f"answered {said.status}"
    return EndpointError(f"{endpoint} {answered}: {said.message.rstrip('.')}. {log}", said.status)


def _json_in(text: str) -> dict[str, Any] | None:
    """Return the first object in a text that is one of an error; AWS puts words around it."""
    decoder = json.JSONDecoder()
    for start in (match.start() for match in re.finditer(r"\{", text)):
        try:
            value, _ = decoder.raw_decode(text, start)
        except ValueError:
            continue
        if isinstance(value, dict) and ("error" in value or "message" in value):
            return value
    return None


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text
