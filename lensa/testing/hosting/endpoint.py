"""One endpoint: its state, as DescribeEndpoint tells it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from lensa.testing.clock import Clock
from lensa.testing.hosting.resources import ENDPOINT, Resource
from lensa.testing.hosting.serving import ServingContainer

GROUP = "/aws/sagemaker/Endpoints"  # of the logs: a group an endpoint

_LOOK = 0.01  # real seconds


class TwinEndpoint:
    """An endpoint in the twin. Tests read it; the twin's threads write it."""

    def __init__(
        self, name: str, region: str, config: Resource, tags: dict[str, str], clock: Clock
    ) -> None:
        self.name, self.region = name, region
        self.arn = ENDPOINT.arn(name, region)
        self.tags = tags
        self.status = "Creating"
        self.failure_reason = ""
        self.config = config
        """The configuration that it serves."""
        self.pending: Resource | None = config
        """The configuration that it is about to serve."""
        self.starts = 0
        """How many containers it has had."""
        self.container: ServingContainer | None = None
        """The one that answers."""
        self.desired = self.current = 0
        """Instances: how many there should be, and are. One container answers for all of them."""
        self.created = self.modified = clock.now()
        self.group = f"{GROUP}/{name}"
        """Its log group in CloudWatch."""
        self._clock = clock
        self._lines: list[str] = []
        self.lock = threading.RLock()
        """Held by whoever looks at its state and then changes it."""
        self.gone = threading.Event()
        """Set when it has been deleted, or the twin is closed."""
        self.wake = threading.Event()
        self.deleting = self.closing = False

    def __repr__(self) -> str:
        reason = f", {self.failure_reason}" if self.failure_reason else ""
        return f"<TwinEndpoint {self.name}: {self.status}{reason}>"

    @property
    def variant(self) -> dict[str, Any]:
        """The production variant of the configuration that it serves."""
        variant: dict[str, Any] = self.config.request["ProductionVariants"][0]
        return variant

    @property
    def asynchronous(self) -> bool:
        return bool(self.config.request.get("AsyncInferenceConfig"))

    @property
    def over(self) -> bool:
        return self.deleting or self.closing

    @property
    def pids(self) -> list[int]:
        """The first process of its running container, if there is one."""
        container = self.container
        pid = container.pid if container is not None else None
        return [] if pid is None else [pid]

    def log(self) -> list[str]:
        """Return every line that its containers printed."""
        with self.lock:
            return list(self._lines)

    def kill(self) -> None:
        """End its container's process with SIGKILL. As on AWS, another one is started."""
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def wait(self, status: str = "InService", timeout: float = 60.0) -> TwinEndpoint:
        """Return when it has this status. Raises TimeoutError after `timeout` real seconds, or
        at once when it has failed or is gone."""
        return self.wait_for(lambda endpoint: endpoint.status == status, timeout)

    def wait_for(
        self, condition: Callable[[TwinEndpoint], bool], timeout: float = 60.0
    ) -> TwinEndpoint:
        """Return when the condition holds, say `lambda endpoint: endpoint.current == 0`."""
        deadline = time.monotonic() + timeout
        while not condition(self):
            ended = self.gone.wait(_LOOK) or self.status == "Failed"
            if (ended or time.monotonic() > deadline) and not condition(self):
                lines = "\n".join(self.log()[-10:])
                raise TimeoutError(f"{self!r} did not get there. Its log:\n{lines}")
        return self

    # --- what happens to it ---

    def enter(self, status: str, reason: str = "") -> None:
        """Go to the next state."""
        with self.lock:
            self.status, self.failure_reason = status, reason[:1024]
            self.modified = self._clock.now()

    @contextmanager
    def asking(self) -> Iterator[ServingContainer | None]:
        """Hold the container that answers, if there is one: it is not ended by an update."""
        with self.lock:
            container = self.container
            if container is not None:
                container.asked += 1
        try:
            yield container
        finally:
            if container is not None:
                with self.lock:
                    container.asked -= 1

    def take_line(self, line: str) -> None:
        with self.lock:
            self._lines.append(line)

    def serve(self, config: Resource, container: ServingContainer, count: int) -> None:
        """Answer with this container from here on."""
        with self.lock:
            self.config, self.pending, self.container = config, None, container
            self.desired = self.current = count
            self.enter("InService")

    def scale_to(self, count: int) -> None:
        """Be on the way to another number of instances: as on AWS, that is an update."""
        with self.lock:
            self.desired = count
            if count != self.current:
                self.enter("Updating")

    def scaled(self, count: int) -> None:
        """Have this number of instances; if there should be as many, it has arrived."""
        with self.lock:
            self.current = count
            if self.status == "Updating" and self.pending is None and count == self.desired:
                self.enter("InService")

    def not_scaled(self, reason: str) -> None:
        """Stay at the number of instances that there are."""
        with self.lock:
            if self.status == "Updating" and self.pending is None:
                self.desired = self.current
                self.enter("InService", reason)

    # --- what is told of it ---

    def describe(self) -> dict[str, Any]:
        """Return the answer to DescribeEndpoint."""
        with self.lock:
            told = {
                **self.summary(),
                "EndpointConfigName": self.config.name,
            }
            if self.failure_reason:
                told["FailureReason"] = self.failure_reason
            if self.container is not None or self.status in {"InService", "Updating"}:
                told["ProductionVariants"] = [self._variant_told()]
            if self.asynchronous:
                told["AsyncInferenceConfig"] = self.config.request["AsyncInferenceConfig"]
            if self.pending is not None and self.status in {"Creating", "Updating"}:
                told["PendingDeploymentSummary"] = {
                    "EndpointConfigName": self.pending.name,
                    "StartTime": self.modified,
                }
            return told

    def _variant_told(self) -> dict[str, Any]:
        weight = self.variant["InitialVariantWeight"]
        return {
            "VariantName": self.variant["VariantName"],
            "DeployedImages": [
                {
                    "SpecifiedImage": self.container.image,
                    "ResolvedImage": self.container.image,
                    "ResolutionTime": self.modified,
                }
            ]
            if self.container is not None
            else [],
            "CurrentWeight": weight,
            "DesiredWeight": weight,
            "CurrentInstanceCount": self.current,
            "DesiredInstanceCount": self.desired,
        }

    def summary(self) -> dict[str, Any]:
        """Return its line in ListEndpoints."""
        with self.lock:
            return {
                "EndpointName": self.name,
                "EndpointArn": self.arn,
                "CreationTime": self.created,
                "LastModifiedTime": self.modified,
                "EndpointStatus": self.status,
            }
