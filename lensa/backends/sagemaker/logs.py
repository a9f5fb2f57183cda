"""A job's log in CloudWatch: every stream of it in order, each line once."""

from __future__ import annotations

from typing import Any

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.refusals import explained

GROUP = "/aws/sagemaker/TrainingJobs"


class LogReader:
    """Reads on where it stopped. A spot job has a stream for each of its machines."""

    def __init__(self, account: Account, job: str) -> None:
        self._account, self._job = account, job
        self._tokens: dict[str, str] = {}  # stream -> where to read on

    def new(self) -> list[str]:
        """Return the lines that came since the last call; none while there is no log yet.

        Raises AccountError or ServiceError.
        """
        lines: list[str] = []
        with explained("reading the job's log"):
            client = self._account.client("logs")
            try:
                for stream in self._streams(client):
                    lines += self._read(client, stream)
            except client.exceptions.ResourceNotFoundException:
                pass  # the first line makes the group
        return lines

    def _streams(self, client: Any) -> list[str]:
        pages = client.get_paginator("describe_log_streams").paginate(
            logGroupName=GROUP, logStreamNamePrefix=f"{self._job}/"
        )
        streams = [stream for page in pages for stream in page["logStreams"]]
        streams.sort(key=lambda stream: (stream.get("creationTime", 0), stream["logStreamName"]))
        return [stream["logStreamName"] for stream in streams]

    def _read(self, client: Any, stream: str) -> list[str]:
        lines: list[str] = []
        while True:
            token = self._tokens.get(stream)
            page = client.get_log_events(
                logGroupName=GROUP,
                logStreamName=stream,
                startFromHead=True,
                **({"nextToken": token} if token else {}),
            )
            lines += [event["message"] for event in page["events"]]
            self._tokens[stream] = page["nextForwardToken"]
            if page["nextForwardToken"] == token:  # the end, for now
                return lines
