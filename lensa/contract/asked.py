"""When a request was asked, as a client says it to an endpoint on SageMaker.

There SageMaker gives up on an answer after a minute, and the server behind it cannot see that: what
nobody waits for any more would be drawn, while others wait. Clocks differ, so what cannot be is not
believed.
"""

from __future__ import annotations

import re

# What InvokeEndpoint's CustomAttributes become on their way to the container.
ATTRIBUTES_HEADER = "X-Amzn-SageMaker-Custom-Attributes"
PATIENCE = 55.0  # seconds after which nobody waits for an answer that was not begun
TOO_OLD = "it was asked a minute ago, and nobody waits for it any more: ask again."  # the refusal
_INCREDIBLE = 600.0  # seconds: not a long wait, but a clock that is wrong

_ASKED = re.compile(r"(?:^|[;,\s])lensa-asked=(\d{1,12})(?:$|[;,\s])")


def asked_at(now: float) -> str:
    """Return the CustomAttributes of a request that is asked now, in seconds since 1970."""
    return f"lensa-asked={now:.0f}"


def age(attributes: str, now: float) -> float | None:
    """Return for how many seconds a request has waited; None if its attributes do not say so."""
    found = _ASKED.search(attributes)
    if found is None:
        return None
    seconds = now - int(found[1])
    return seconds if 0 <= seconds <= _INCREDIBLE else None
