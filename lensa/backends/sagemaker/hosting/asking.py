"""An endpoint on SageMaker, as one asks it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from lensa.backends.base import Shelf
from lensa.backends.sagemaker import sdk
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.hosting.answers import JSON, read_answer, request_body
from lensa.backends.sagemaker.hosting.calling import SERVING, Caller
from lensa.backends.sagemaker.hosting.queueing import SagemakerQueue
from lensa.backends.sagemaker.transfer import Store
from lensa.backends.waiting import WAIT_SECONDS, OnWait
from lensa.contract import GenerationRequest, GenerationResponse
from lensa.errors import ConfigError, EndpointError, LensaError

_MOST_BYTES = 6_000_000  # of a request; InvokeEndpoint takes 6 MB
_QUEUE_SECONDS = 3600.0  # a machine wakes, others are before you, and then there may be 64 images

log = logging.getLogger("lensa")


class SagemakerServer:
    """A running endpoint of the account: see `lensa.backends.base.Server`."""

    found = False

    def __init__(
        self,
        account: Account,
        store: Store,
        endpoint: str,
        *,
        asynchronous: bool,
        close: Callable[[], None],
        used: Callable[[], None],
        wait_seconds: float | None = None,
        poll_seconds: float = 5.0,
        ends: Callable[[], datetime | None] | None = None,
        on_wait: OnWait | None = None,
    ) -> None:
        """Nothing is asked of AWS yet.

        Args:
            close: takes the endpoint down, and everything with it.
            used: hears of every use; it may move the endpoint's end.
            wait_seconds: for how long an answer is waited for, while the endpoint is busy, waking
                or updated. If not given, a quarter of an hour; an hour if it is asynchronous.
            poll_seconds: how long a wait is, about.
            ends: says when the endpoint ends, or was to end.
            on_wait: hears of every wait, in words.
        """
        self.endpoint = endpoint
        self._close, self._used, self._ends, self._closed = close, used, ends, False
        patience = _QUEUE_SECONDS if asynchronous else WAIT_SECONDS
        self._caller = Caller(
            account,
            endpoint,
            wait_seconds=patience if wait_seconds is None else wait_seconds,
            poll_seconds=poll_seconds,
            ends=ends,
            on_wait=on_wait,
        )
        self._queue = SagemakerQueue(self._caller, store, self._begin) if asynchronous else None

    @property
    def url(self) -> str:
        """Where it is asked, with requests that AWS's signature is on."""
        path = "async-invocations" if self._queue is not None else "invocations"
        return f"{self._caller.client.meta.endpoint_url}/endpoints/{self.endpoint}/{path}"

    @property
    def name(self) -> str:
        return self.endpoint

    @property
    def shelf(self) -> Shelf | None:
        return None

    def end(self) -> datetime | None:
        """Return when it is deleted, or was to be; None: never by itself, or nobody knows."""
        return None if self._ends is None else self._ends()

    @property
    def queue(self) -> SagemakerQueue | None:
        return self._queue

    def invoke(self, request: GenerationRequest) -> GenerationResponse:
        """See Server."""
        if self._queue is not None:
            return self._through(self._queue, request)
        self._begin()
        body = request_body(request)
        if len(body) > _MOST_BYTES:
            raise ConfigError(
                f"generation: the request has {len(body) / 1e6:.1f} MB, and a real-time endpoint "
                f"takes {_MOST_BYTES / 1e6:g}: begin with a smaller image (or a JPEG), or deploy "
                "the avatar with asynchronous=True."
            )
        _, content = self._caller.call("invoke_endpoint", Body=body, ContentType=JSON, Accept=JSON)
        return read_answer(content, self.endpoint)

    def _through(self, queue: SagemakerQueue, request: GenerationRequest) -> GenerationResponse:
        id = queue.put(request)
        try:
            return queue.wait(id)
        except KeyboardInterrupt:
            queue.forget(id)
            raise

    def alive(self) -> bool:
        """Whether it serves, and is not on its way out."""
        if self._closed:
            return False
        try:
            return self._caller.describe()["EndpointStatus"] in SERVING
        except EndpointError:
            return False

    def close(self) -> None:
        """Take it down, with all that belongs to it. Again does nothing."""
        if not self._closed:
            self._close()
            self._closed = True

    def sdk(self) -> Any:
        """Return `sagemaker.core.resources.Endpoint`; ConfigError without the SDK."""
        return sdk.endpoint(self._caller.account, self.endpoint)

    def __repr__(self) -> str:
        return f"<SagemakerServer {self.endpoint}>"

    def _begin(self) -> None:
        if self._closed:
            raise EndpointError(
                f"the endpoint {self.endpoint} was taken down. Deploy the avatar again."
            )
        try:
            self._used()
        except LensaError as error:  # the images are what was asked for, and it still runs
            log.warning("%s", error)
