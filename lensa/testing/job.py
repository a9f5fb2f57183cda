"""One training job: its state, as DescribeTrainingJob tells it."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from lensa.testing.account import ACCOUNT
from lensa.testing.clock import Clock
from lensa.testing.models import service_model

GROUP = "/aws/sagemaker/TrainingJobs"  # of the log
ENDED = frozenset({"Completed", "Failed", "Stopped"})

_LOOK = 0.01  # real seconds
_SPOT_SHARE = 0.3  # of the training time, as if spot cost 30 % of the price on demand


class TwinJob:
    """A training job in the twin. Tests read it; the twin's threads write it."""

    def __init__(self, request: dict[str, Any], region: str, clock: Clock) -> None:
        self.name: str = request["TrainingJobName"]
        self.region = region
        self.arn = f"arn:aws:sagemaker:{region}:{ACCOUNT}:training-job/{self.name}"
        self.request = request
        """The parameters of CreateTrainingJob."""
        self.tags: dict[str, str] = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
        self.status = "InProgress"
        self.secondary_status = ""
        self.failure_reason = ""
        self.log: list[str] = []
        """Every line that its containers printed."""
        self.starts = 0
        """How many containers it has had: more than one after spot interruptions."""
        self.step = 0
        """The latest step that its running container logged."""
        self.pid: int | None = None
        """Process 1 of its running container."""
        self.created = self.modified = clock.now()
        self.started: datetime | None = None
        self.ended: datetime | None = None
        self.artifacts = ""
        self._clock = clock
        self._ran = 0.0
        self._running_since: float | None = None
        self._transitions: list[dict[str, Any]] = []
        self._metrics: dict[str, tuple[float, datetime]] = {}
        self._lock = threading.RLock()
        self._end = threading.Event()
        self.wake = threading.Event()
        self.stopping = self.closing = False
        self.enter("Starting", "Starting the training job")

    def __repr__(self) -> str:
        return f"<TwinJob {self.name}: {self.status}, {self.secondary_status}>"

    @property
    def spot(self) -> bool:
        return bool(self.request.get("EnableManagedSpotTraining"))

    @property
    def done(self) -> bool:
        return self.status in ENDED

    def wait(self, timeout: float = 60.0) -> TwinJob:
        """Return when the job has ended. Raises TimeoutError after `timeout` real seconds."""
        if not self._end.wait(timeout):
            lines = "\n".join(self.log[-10:])
            raise TimeoutError(f"{self!r} did not end in {timeout:g} seconds. Its log:\n{lines}")
        return self

    def wait_for(self, condition: Callable[[TwinJob], bool], timeout: float = 60.0) -> TwinJob:
        """Return when the condition holds, say `lambda job: job.step >= 3`.

        Raises TimeoutError after `timeout` real seconds, or when the job has ended before.
        """
        deadline = time.monotonic() + timeout
        while not condition(self):
            if self._end.wait(_LOOK) or time.monotonic() > deadline:
                if condition(self):
                    break
                lines = "\n".join(self.log[-10:])
                raise TimeoutError(f"{self!r} did not get there. Its log:\n{lines}")
        return self

    # --- what happens to it ---

    def enter(self, secondary: str, message: str, status: str = "InProgress") -> None:
        """Go to the next state."""
        with self._lock:
            now = self._clock.now()
            if self.stopping and status == "InProgress":
                status = "Stopping"
            if self._transitions and "EndTime" not in self._transitions[-1]:
                self._transitions[-1]["EndTime"] = now
            state = {"Status": secondary, "StartTime": now, "StatusMessage": message}
            if status in ENDED:
                self.cease_to_run()
                state["EndTime"] = now
                self.ended = now
            self._transitions.append(state)
            self.status, self.secondary_status, self.modified = status, secondary, now

    def finish(self) -> None:
        """Tell those who wait that nothing more happens."""
        self._end.set()

    def fail(self, reason: str) -> None:
        with self._lock:
            self.failure_reason = reason[:1024]
            self.enter("Failed", "Training job failed", "Failed")

    def stop(self) -> None:
        """Ask for its end, as StopTrainingJob does."""
        with self._lock:
            self.stopping = True
            if self.status == "InProgress":
                self.enter("Stopping", "Stopping the training job", "Stopping")
        self.wake.set()

    def begin_to_run(self) -> None:
        """From here on the instance is there, and paid for."""
        with self._lock:
            self._running_since = self._clock.timestamp()
            self.started = self.started or self._clock.now()
            self.step = 0

    def cease_to_run(self) -> None:
        with self._lock:
            self._ran = self.ran()
            self._running_since = None

    def ran(self) -> float:
        """Seconds on an instance until now."""
        with self._lock:
            since = self._running_since
            return self._ran + (self._clock.timestamp() - since if since is not None else 0.0)

    def take_line(self, line: str) -> None:
        """Read a line of the container's output."""
        with self._lock:
            self.log.append(line)
            for metric in self.request["AlgorithmSpecification"].get("MetricDefinitions", []):
                match = re.search(metric["Regex"], line)
                if match and match.groups():
                    try:
                        value = float(match.group(1))
                    except ValueError:
                        continue
                    self._metrics[metric["Name"]] = (value, self._clock.now())
        if step := _step(line):
            self.step = step
            self.wake.set()

    # --- what is told of it ---

    def describe(self) -> dict[str, Any]:
        """Return the answer to DescribeTrainingJob."""
        known = service_model("sagemaker").shape_for("DescribeTrainingJobResponse").members
        with self._lock:
            told = {name: value for name, value in self.request.items() if name in known}
            told |= {
                "TrainingJobArn": self.arn,
                "TrainingJobStatus": self.status,
                "SecondaryStatus": self.secondary_status,
                "CreationTime": self.created,
                "LastModifiedTime": self.modified,
                "SecondaryStatusTransitions": [dict(state) for state in self._transitions],
                "ModelArtifacts": {"S3ModelArtifacts": self.artifacts},
                "FinalMetricDataList": [
                    {"MetricName": name, "Value": value, "Timestamp": when}
                    for name, (value, when) in self._metrics.items()
                ],
            }
            if self.failure_reason:
                told["FailureReason"] = self.failure_reason
            if self.started:
                told["TrainingStartTime"] = self.started
            if self.ended:
                told["TrainingEndTime"] = self.ended
                ran = self.ran()
                told["TrainingTimeInSeconds"] = round(ran)
                told["BillableTimeInSeconds"] = round(ran * (_SPOT_SHARE if self.spot else 1.0))
            if pool := self.warm_pool():
                told["WarmPoolStatus"] = pool
            return told

    def summary(self) -> dict[str, Any]:
        """Return its line in ListTrainingJobs."""
        shown = service_model("sagemaker").shape_for("TrainingJobSummary").members
        return {name: value for name, value in self.describe().items() if name in shown}

    def warm_pool(self) -> dict[str, Any] | None:
        keep = self.request["ResourceConfig"].get("KeepAlivePeriodInSeconds")
        if not keep:
            return None
        if self.ended is None:
            return {"Status": "InUse"}
        held = min((self._clock.now() - self.ended), timedelta(seconds=keep))
        state = "Available" if held < timedelta(seconds=keep) else "Terminated"
        return {
            "Status": state,
            "ResourceRetainedBillableTimeInSeconds": int(held.total_seconds()),
        }


def _step(line: str) -> int | None:
    """Return the step of a progress event, or None for any other line."""
    if '"progress"' not in line:
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or event.get("event") != "progress":
        return None
    step = event.get("step")
    return step if isinstance(step, int) else None
