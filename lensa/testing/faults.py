"""What may go wrong, on request: `twin.faults`."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal

from lensa.testing.answers import AwsError
from lensa.testing.models import protocol
from lensa.testing.operations import Call

_EXPIRED = "The security token included in the request is expired"
STRANGER = "210987654321"  # an account that is not ours

Kind = Literal[
    "interrupt", "capacity", "slow", "container", "upload", "lose", "endpoint", "waking", "busy"
]


@dataclass
class JobFault:
    """A fault that waits for its job, or its endpoint."""

    kind: Kind
    job: str | None  # None: the first one that gets there
    step: int = 0
    seconds: float = 0.0
    exit_code: int = 1
    failure: str = ""
    log: str = ""


@dataclass
class _Refusal:
    operations: tuple[str, ...]
    problem: AwsError | Literal["throttled", "expired"]
    left: int | None  # None: until it is taken back

    def concerns(self, call: Call) -> bool:
        names = {call.operation, call.service, f"{call.service}:{call.operation}"}
        return not self.operations or bool(names & set(self.operations))


@dataclass
class Faults:
    """Everything that a test can make go wrong.

    Faults of requests hit clients, not the containers: those have a role of their own.
    `operations` are names of the API ("DescribeTrainingJob"), services ("s3"), or both
    ("s3:PutObject"); none at all means every request. Faults of jobs and endpoints wait for the
    first one that gets there, or for the one that is named, and happen once.
    """

    _refusals: list[_Refusal] = field(default_factory=list)
    _waiting: list[JobFault] = field(default_factory=list)
    _foreign: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # --- requests ---

    def throttle(self, times: int, *operations: str) -> None:
        """Throttle the next `times` requests: ThrottlingException, of S3 503 SlowDown."""
        self._refuse(_Refusal(operations, "throttled", times))

    def fail(
        self,
        operation: str,
        code: str,
        message: str = "",
        *,
        times: int | None = 1,
        status: int | None = None,
    ) -> None:
        """Answer an operation with an error of AWS. `times=None`: until `clear`.

        `status` is the HTTP status; without it, the one that AWS has for the code.
        """
        self._refuse(_Refusal((operation,), AwsError(code, message or code, status), times))

    def expire_credentials(self, *operations: str, times: int | None = None) -> None:
        """Answer that the credentials have expired, until `clear` or `times` times."""
        self._refuse(_Refusal(operations, "expired", times))

    def foreign_bucket(self, bucket: str) -> None:
        """Let a bucket belong to another account.

        It can still be used, as if its policy allowed it, unless the request says whose bucket
        it expects; it cannot be created.
        """
        with self._lock:
            self._foreign.add(bucket)

    # --- jobs ---

    def interrupt_spot(self, at_step: int, job: str | None = None) -> None:
        """Take the instance from a managed spot job that logs this step or a later one.

        The step is read from log lines {"event": "progress", "step": N, ...}. The container gets
        SIGTERM, after 120 seconds of the clock SIGKILL, and the job starts again with its
        checkpoints. Call it several times for several interruptions.
        """
        self._wait(JobFault("interrupt", job, step=at_step))

    def no_capacity(self, job: str | None = None) -> None:
        """Fail a job with CapacityError instead of starting it."""
        self._wait(JobFault("capacity", job))

    def slow_start(self, seconds: float, job: str | None = None) -> None:
        """Leave a job in Starting for that many seconds of the clock."""
        self._wait(JobFault("slow", job, seconds=seconds))

    def fail_container(self, exit_code: int = 1, failure: str = "", job: str | None = None) -> None:
        """Run a container that only ends with this exit code: 1, or 137 as when memory is out.

        `failure` is what it leaves in /opt/ml/output/failure.
        """
        self._wait(JobFault("container", job, exit_code=exit_code, failure=failure))

    def fail_upload(self, job: str | None = None) -> None:
        """Fail a job whose container has done its work, before its model is uploaded."""
        self._wait(JobFault("upload", job))

    def lose_job(self, job: str | None = None, at_step: int = 0) -> None:
        """Let a job disappear as if it had never been: at once, or when it logs a step."""
        self._wait(JobFault("lose", job, step=at_step))

    # --- endpoints ---

    def fail_endpoint(
        self, reason: str = "", *, log: str = "not today", endpoint: str | None = None
    ) -> None:
        """Run a container that prints `log` and ends, when the next one is started.

        A new endpoint is Failed then, an update leaves what was there. `reason` is the
        FailureReason; without it, that the container did not pass the health check.
        """
        self._wait(JobFault("endpoint", endpoint, failure=reason, log=log))

    def slow_endpoint(self, seconds: float, endpoint: str | None = None) -> None:
        """Wait that many seconds of the clock before the next container is started."""
        self._wait(JobFault("waking", endpoint, seconds=seconds))

    def busy(self, times: int, endpoint: str | None = None) -> None:
        """Answer the next `times` requests with the container's own 503, as a full queue does."""
        for _ in range(times):
            self._wait(JobFault("busy", endpoint))

    def clear(self) -> None:
        """Take back every fault that has not happened yet."""
        with self._lock:
            self._refusals.clear()
            self._waiting.clear()
            self._foreign.clear()

    # --- for the twin ---

    def refusal(self, call: Call) -> AwsError | None:
        """Return the error that this request gets, if it gets one."""
        with self._lock:
            for refusal in self._refusals:
                if not refusal.concerns(call):
                    continue
                if refusal.left is not None:
                    refusal.left -= 1
                    if refusal.left <= 0:
                        self._refusals.remove(refusal)
                return _worded(refusal.problem, call)
        return None

    def take(self, kind: Kind, job: str, step: int | None = None) -> JobFault | None:
        """Return the fault of this kind that waits for the job (or the endpoint), and let it wait
        no longer."""
        with self._lock:
            for fault in self._waiting:
                if fault.kind != kind or fault.job not in {None, job}:
                    continue
                if step is not None and step < fault.step:
                    continue
                self._waiting.remove(fault)
                return fault
        return None

    def owner(self, bucket: str, owner: str | None) -> str | None:
        """Return the account that owns a bucket: `owner`, unless it was given away."""
        with self._lock:
            return STRANGER if bucket in self._foreign else owner

    def _refuse(self, refusal: _Refusal) -> None:
        if refusal.left is not None and refusal.left < 1:
            raise ValueError(f"times must be 1 or more, not {refusal.left}")
        with self._lock:
            self._refusals.append(refusal)

    def _wait(self, fault: JobFault) -> None:
        with self._lock:
            self._waiting.append(fault)


def _worded(problem: AwsError | Literal["throttled", "expired"], call: Call) -> AwsError:
    if isinstance(problem, AwsError):
        return problem
    kind = protocol(call.service)
    if problem == "throttled":
        if call.service == "s3":
            return AwsError("SlowDown", "Please reduce your request rate.")
        code = "Throttling" if kind in {"query", "ec2"} else "ThrottlingException"
        return AwsError(code, "Rate exceeded")
    if call.service == "s3":
        return AwsError("ExpiredToken", "The provided token has expired.")
    code = "ExpiredToken" if kind in {"query", "ec2"} else "ExpiredTokenException"
    return AwsError(code, _EXPIRED)
