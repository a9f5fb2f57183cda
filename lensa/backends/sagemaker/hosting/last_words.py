"""The last lines of an endpoint's log: why a container did not come up."""

from __future__ import annotations

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.hosting.log_place import GROUP
from lensa.backends.sagemaker.refusals import explained
from lensa.errors import LensaError

_LINES = 12
_LONGEST = 300  # characters of a line


def last_words(account: Account, endpoint: str) -> list[str]:
    """Return the last lines of the log; none if there is no log, or we may not read it."""
    group, client = f"{GROUP}/{endpoint}", account.client("logs")
    try:
        with explained("reading the endpoint's log"):
            streams = client.describe_log_streams(
                logGroupName=group, orderBy="LastEventTime", descending=True, limit=1
            )["logStreams"]
            if not streams:
                return []
            events = client.get_log_events(
                logGroupName=group,
                logStreamName=streams[0]["logStreamName"],
                startFromHead=False,
                limit=_LINES,
            )["events"]
    except LensaError:  # what failed is told all the same
        return []
    return [str(event["message"]).rstrip()[:_LONGEST] for event in events]
