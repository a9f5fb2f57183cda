"""A job's log in CloudWatch: every stream of it in order, each line once."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.refusals import explained

GROUP = "/aws/sagemaker/TrainingJobs"


class LogReader:
    """Reads on where it stopped. A spot job has a stream for each of its machines."""

    def __init__(self, account: Account, job: str) -> None:
        self._account, self._job = account, job
        self._tokens: dict[str, str] = {}  # stream -> where to read on
        self._read: dict[str, int] = {}  # stream -> how many lines were read
        self._pending: list[str] = []  # read, and not returned yet: a later page may fail

    def new(self) -> list[str]:
        """Return the lines that came since the last call; none while there is no log yet.

        Raises AccountError or ServiceError.
        """
        client = self._account.client("logs")
        nothing_yet = client.exceptions.ResourceNotFoundException  # the first line makes the group
        with explained("reading the job's log"), suppress(nothing_yet):
            for stream in self._streams(client):
                self._read_on(client, stream)
        lines, self._pending = self._pending, []
        return lines

    def _streams(self, client: Any) -> list[str]:
        pages = client.get_paginator("describe_log_streams").paginate(
            logGroupName=GROUP, logStreamNamePrefix=f"{self._job}/"
        )
        streams = [stream for page in pages for stream in page["logStreams"]]
        streams.sort(key=lambda stream: (stream.get("creationTime", 0), stream["logStreamName"]))
        return [stream["logStreamName"] for stream in streams]

    def _read_on(self, client: Any, stream: str) -> None:
        again = 0  # lines to pass over, of a stream that has to be read from its head
        while True:
            token = self._tokens.get(stream)
            try:
                page = client.get_log_events(
                    logGroupName=GROUP,
                    logStreamName=stream,
                    startFromHead=True,
                    **({"nextToken": token} if token else {}),
                )
            except client.exceptions.InvalidParameterException:
                if token is None:
                    raise
                del self._tokens[stream]  # tokens are good for 24 hours
                again = self._read.get(stream, 0)
                continue
            lines = [event["message"] for event in page["events"]]
            new, again = lines[again:], max(again - len(lines), 0)
            self._pending += new
            self._read[stream] = self._read.get(stream, 0) + len(new)
            self._tokens[stream] = page["nextForwardToken"]
            if page["nextForwardToken"] == token:  # the end, for now
                return
