"""Calls to an endpoint's runtime: what passes is waited out, what stays is told."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.hosting.container_errors import error_for, read
from lensa.backends.sagemaker.hosting.log_place import log_place
from lensa.backends.sagemaker.patience import THROTTLED, broken_off
from lensa.backends.sagemaker.refusals import cleaned, error_code, explained
from lensa.backends.waiting import OnWait, Wait, until_answered
from lensa.contract.asked import PATIENCE, TOO_OLD, asked_at
from lensa.errors import EndpointBusy, EndpointError, LensaError

# AWS says: later.
_BUSY = THROTTLED | {"ModelNotReadyException", "ServiceUnavailable", "ServiceUnavailableException"}
# Nobody's fault, and mostly gone at the next attempt; it may also stay.
_FAULTS = {
    "InternalDependencyException",
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServerException",
}
_ATTEMPTS = 5  # after which a fault, a connection or a worker that breaks is told
_GOING_ON = {"Creating", "Updating", "SystemUpdating", "RollingBack"}
SERVING = {"InService", "Updating", "SystemUpdating", "RollingBack"}


class Caller:
    """Calls the runtime of one endpoint. Safe for threads.

    Asking again is harmless, even if an answer was only lost on its way: which images come is a
    function of the request, seed and all, and nothing is kept of it. It does cost the time of
    drawing, so it has a bound: `wait_seconds` in all, and a few attempts where something broke.
    """

    def __init__(
        self,
        account: Account,
        endpoint: str,
        *,
        wait_seconds: float,
        poll_seconds: float,
        ends: Callable[[], datetime | None] | None = None,
        on_wait: OnWait | None = None,
    ) -> None:
        """`poll_seconds`: how long waits are, about. `ends` says when the endpoint ends, or was
        to."""
        self.account, self.endpoint = account, endpoint
        self.wait_seconds, self.poll_seconds = wait_seconds, poll_seconds
        self._ends, self._on_wait = ends, on_wait
        self._clocks_agree = True  # as far as anybody knows

    @property
    def client(self) -> Any:
        return self.account.runtime_client()

    def wait(self, seconds: float | None = None) -> Wait:
        """Return the waits for one answer."""
        return Wait(
            self.wait_seconds if seconds is None else seconds,
            first=self.poll_seconds / 5,
            longest=self.poll_seconds * 3,
            on_wait=self._on_wait,
        )

    def call(self, operation: str, **parameters: Any) -> tuple[dict[str, Any], bytes]:
        """Call `invoke_endpoint` or `invoke_endpoint_async`; return the answer and its body.

        Raises EndpointBusy if the endpoint is busy for longer than `wait_seconds`, UserError for
        what has to change, EndpointError if the endpoint fails or is gone, ServiceError.
        """
        broken: Counter[str] = Counter()
        call = getattr(self.client, operation)

        def ask() -> tuple[dict[str, Any], bytes]:
            with explained(f"asking the endpoint {self.endpoint}"):
                begun = time.monotonic()
                try:
                    said = self._said(operation)
                    answer = call(EndpointName=self.endpoint, **said, **parameters)
                    body = answer.pop("Body", None)
                    return answer, b"" if body is None else body.read()
                except Exception as error:
                    if TOO_OLD in str(error) and time.monotonic() - begun < PATIENCE / 2:
                        self._clocks_agree = False  # it has not waited for so long
                    raise self._judged(error, broken) from None

        try:
            return until_answered(ask, self.wait())
        except EndpointBusy as busy:
            raise self._out_of_patience(busy) from None

    def _said(self, operation: str) -> dict[str, str]:
        """Return what a request says of itself: since when somebody waits for its answer."""
        if operation != "invoke_endpoint" or not self._clocks_agree:
            return {}
        return {"CustomAttributes": asked_at(time.time())}

    def describe(self) -> dict[str, Any]:
        """Return what DescribeEndpoint says; EndpointError if there is no such endpoint."""
        from botocore.exceptions import ClientError

        with explained(f"looking up the endpoint {self.endpoint}"):
            try:
                found: dict[str, Any] = self.account.client("sagemaker").describe_endpoint(
                    EndpointName=self.endpoint
                )
            except ClientError as error:
                if "Could not find" in str(error):
                    raise EndpointError(self._gone()) from None
                raise
        return found

    def log_place(self, arn: str = "") -> str:
        return log_place(self.account, self.endpoint, arn) + "."

    # --- what went wrong ---

    def _judged(self, error: Exception, broken: Counter[str]) -> Exception:
        """Return what to raise: EndpointBusy if it is worth asking again."""
        from botocore.exceptions import ClientError

        code = error_code(error)
        if code == "ModelError":
            return self._told_by_container(error, broken)
        if code in _BUSY:
            return self._again(error)
        if code == "ValidationError":
            return self._refused(error, broken)
        fault = code in _FAULTS or (isinstance(error, ClientError) and code.startswith("5"))
        if fault or _broke_off(error):
            broken["connection or fault"] += 1
            if broken.total() < _ATTEMPTS:
                return self._again(error)
        return error

    def _again(self, error: Exception) -> EndpointBusy:
        code = error_code(error)
        if not code:
            return EndpointBusy(cleaned(str(error)), retry_after=0)
        answer: dict[str, Any] = getattr(error, "response", {})
        message = cleaned(str(answer.get("Error", {}).get("Message") or "no reason given"))
        return EndpointBusy(f"{message.rstrip('.')} ({code})", retry_after=0)

    def _told_by_container(self, error: Exception, broken: Counter[str]) -> Exception:
        answer: dict[str, Any] = getattr(error, "response", {})
        message = answer.get("OriginalMessage") or answer.get("Error", {}).get("Message") or ""
        said = read(int(answer.get("OriginalStatusCode") or 0), str(message))
        if not said.ours and "Worker died" in said.message:
            broken["worker"] += 1  # another is started; but the request may be what killed it
            if broken["worker"] < 2:
                return EndpointBusy("the process that draws died, and is started again", 0)
        log = self.log_place(str(answer.get("LogStreamArn") or ""))
        return error_for(said, f"the endpoint {self.endpoint}", log)

    def _refused(self, error: Exception, broken: Counter[str]) -> Exception:
        """Return what stands behind a ValidationError: mostly the state of the endpoint."""
        try:
            found = self.describe()
        except LensaError as told:
            return told
        status = found["EndpointStatus"]
        if status in _GOING_ON:
            return EndpointBusy(f"the endpoint {self.endpoint} is in the state {status}", 0)
        if status == "Deleting":
            return EndpointError(self._gone())
        if status != "InService":
            reason = str(found.get("FailureReason") or "no reason given").rstrip(".")
            return EndpointError(
                f"the endpoint {self.endpoint} is {status}: {reason}. {self.log_place()} Take it "
                "down, and deploy the avatar again."
            )
        if "not found" in str(error):  # it has only just begun to serve, and not all know yet
            broken["not found"] += 1
            if broken.total() < _ATTEMPTS:
                return self._again(error)
        return error

    def _gone(self) -> str:
        end = None
        with suppress(LensaError, ValueError):  # that it has ended is what matters
            end = self._ends() if self._ends is not None else None
        when = "" if end is None else f" (its end was set for {end:%Y-%m-%d %H:%M} UTC)"
        return f"the endpoint {self.endpoint} has ended{when}. Deploy the avatar again."

    def _out_of_patience(self, busy: EndpointBusy) -> EndpointBusy:
        return EndpointBusy(
            f"the endpoint {self.endpoint} gave no answer in {self.wait_seconds:.0f} s of asking: "
            f"{str(busy).rstrip('.')}. {self.log_place()} If one answer takes longer than 60 s, "
            "set LENSA_DEADLINE in the container below that, or deploy with asynchronous=True.",
            retry_after=60,
        )


def _broke_off(error: Exception) -> bool:
    """Whether a connection failed that may do better next time: not if a proxy or a certificate is
    wrong."""
    from botocore.exceptions import ConnectionError, ProxyConnectionError, SSLError

    if isinstance(error, ProxyConnectionError | SSLError):
        return False
    return isinstance(error, (ConnectionError, *broken_off()))
