"""The queue of an asynchronous endpoint: requests from the bucket, answers into the bucket."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lensa.testing.answers import AwsError
from lensa.testing.channels import encryption, split_uri
from lensa.testing.hosting.calling import ask
from lensa.testing.hosting.endpoint import TwinEndpoint
from lensa.testing.sites import Site

_AT_ONCE = 4  # requests at a container, unless MaxConcurrentInvocationsPerInstance says otherwise
_TICK = 0.05  # real seconds between two looks


@dataclass
class Waiting:
    """A request that was accepted."""

    asked: dict[str, Any]  # the parameters of InvokeEndpointAsync
    body: bytes  # if it did not come by way of the bucket
    answer: str  # URI
    failure: str  # URI, or nothing
    kms_key: str
    seconds: float  # real ones, for the container
    until: datetime  # of the clock: its turn has to come by then


class Backlog:
    """What waits at one endpoint, and the threads that hand it on as soon as somebody is there."""

    def __init__(self, endpoint: TwinEndpoint, site: Site) -> None:
        self._endpoint, self._site = endpoint, site
        self._queue: deque[Waiting] = deque()
        self._running = 0
        self._last = site.clock.now()
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()

    def put(self, request: Waiting) -> None:
        with self._changed:
            self._queue.append(request)
            if not self._threads:
                self._start()
            self._changed.notify()
        self._endpoint.wake.set()

    def size(self) -> int:
        """Return how many requests wait or are being answered."""
        with self._changed:
            return len(self._queue) + self._running

    def idle(self) -> float:
        """Return the seconds of the clock since there was anything to do."""
        return (self._site.clock.now() - self._last).total_seconds()

    def touch(self) -> None:
        """Count idleness from now on."""
        self._last = self._site.clock.now()

    def close(self) -> None:
        """Wait for the threads, which end with the endpoint."""
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _start(self) -> None:
        client = self._endpoint.config.request["AsyncInferenceConfig"].get("ClientConfig", {})
        count = client.get("MaxConcurrentInvocationsPerInstance", _AT_ONCE)
        for number in range(count):
            name = f"twin-{self._endpoint.name}-backlog-{number}"
            thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self) -> None:
        while (request := self._next()) is not None:
            try:
                self._answer(request)
            finally:
                with self._changed:
                    self._running -= 1

    def _next(self) -> Waiting | None:
        """Wait for a request and a container; None when the endpoint is to go."""
        with self._changed:
            while not self._endpoint.over:
                if self._queue and self._endpoint.container is not None:
                    self._running += 1
                    return self._queue.popleft()
                self._changed.wait(_TICK)
        return None

    def _answer(self, request: Waiting) -> None:
        site = self._site
        if site.clock.now() > request.until:
            self._put(
                request, request.failure, b"The request waited longer than RequestTTLSeconds."
            )
            return
        try:
            body = request.body or self._read(request.asked["InputLocation"])
            reply = ask(self._endpoint, request.asked, body, site, request.seconds)
            self.touch()  # before the answer is there: a test that sees it may move the clock
        except AwsError as problem:
            if not self._endpoint.over:
                self._put(request, request.failure, problem.message.encode())
            return
        except site.s3.exceptions.ClientError as problem:
            where = request.asked["InputLocation"]
            words = f"Unable to read the input at {where}: {problem.response['Error']['Message']}"
            self._put(request, request.failure, words.encode())
            return
        fine = 200 <= reply.status < 300
        kind = reply.headers.get("content-type", "application/octet-stream")
        self._put(request, request.answer if fine else request.failure, reply.body, kind)

    def _read(self, uri: str) -> bytes:
        bucket, key = split_uri(uri)
        content: bytes = self._site.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def _put(self, request: Waiting, uri: str, body: bytes, kind: str = "text/plain") -> None:
        if not uri:  # a failure that nobody asked to be told of
            return
        bucket, key = split_uri(uri)
        more = encryption(request.kms_key)
        try:
            self._site.s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=kind, **more)
        except self._site.s3.exceptions.ClientError as problem:
            self._endpoint.take_line(f"lensa.testing: could not write {uri}: {problem}")
