"""The queue of an asynchronous endpoint: requests and answers lie in the bucket.

    async/<endpoint>/requests/<id>/request.json   what is asked for
    async/<endpoint>/requests/<id>/where.json     where AWS puts the answer, or why there is none
    async/<endpoint>/forgotten/<id>.json          the same, of what nobody waits for any more
    async/<endpoint>/answers/..., failures/...    named by AWS

With an id any machine finds the answer, even when the endpoint has ended. What was fetched is
deleted: it is about a person. What nobody fetches, the bucket forgets after some days.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from lensa.backends.sagemaker import keys
from lensa.backends.sagemaker.hosting.answers import (
    JSON,
    UnreadableAnswer,
    read_answer,
    request_body,
)
from lensa.backends.sagemaker.hosting.calling import SERVING, Caller
from lensa.backends.sagemaker.hosting.container_errors import error_for, read_failure
from lensa.backends.sagemaker.transfer import Store
from lensa.contract import GenerationRequest, GenerationResponse
from lensa.errors import (
    AccountError,
    EndpointBusy,
    EndpointError,
    LensaError,
    NotFoundError,
    ServiceError,
)

QUEUED_SECONDS = 6 * 3600  # that a request may wait for its turn: the most that AWS allows
DRAWN_SECONDS = 3600  # that one may take when it has come: likewise
_NOTHING_COMES = timedelta(seconds=QUEUED_SECONDS + DRAWN_SECONDS)
_STATE_EVERY = 3  # polls' length between two looks at the endpoint itself
_ID = re.compile(r"[0-9a-f]{16}")

log = logging.getLogger("lensa")


class SagemakerQueue:
    """See `lensa.backends.base.Queue`."""

    def __init__(self, caller: Caller, store: Store, used: Callable[[], None]) -> None:
        self._caller, self._store, self._used = caller, store, used

    def put(self, request: GenerationRequest) -> str:
        self._used()
        self._sweep()
        id = secrets.token_hex(8)
        self._store.write(f"{self._folder(id)}/request.json", request_body(request))
        try:
            self._ask(id)
        except BaseException:
            self.forget(id)
            raise
        return id

    def look(self, id: str) -> GenerationResponse | None:
        self._used()
        where = self._where(id)
        content = self._store.read(where["answer"])
        if content is not None:
            try:
                return read_answer(content, self._caller.endpoint)
            except UnreadableAnswer as unread:
                place = self._store.bucket.uri(where["answer"])
                raise UnreadableAnswer(f"{unread} It stays where it is: {place}") from None
        failure = self._store.read(where["failure"]) if where["failure"] else None
        if failure is None:
            return None
        said = read_failure(failure.decode(errors="replace"))
        if said.status == 503:  # its container had no place: to the end of the queue
            self._ask(id)
            self._store.delete(where["failure"])
            return None
        endpoint, log_place = f"the endpoint {self._caller.endpoint}", self._caller.log_place()
        error = error_for(said, endpoint, log_place)
        if isinstance(error, EndpointBusy):  # it had an hour, which will not do another time either
            error = EndpointError(
                f"{endpoint} gave no images: {said.message.rstrip('.')}. {log_place}"
            )
        raise error

    def wait(
        self, id: str, seconds: float | None = None, *, keep: bool = False
    ) -> GenerationResponse:
        limit = self._caller.wait_seconds if seconds is None else seconds
        wait, state, told_at = self._caller.wait(limit), "", 0.0
        try:
            self._sweep()
            while True:
                try:
                    if (response := self.look(id)) is not None:
                        break
                    if time.monotonic() - told_at >= self._caller.poll_seconds * _STATE_EVERY:
                        try:
                            state, told_at = self._state(), time.monotonic()
                        except EndpointError:
                            if (response := self.look(id)) is not None:  # its last one
                                break
                            raise
                except ServiceError as error:  # the request waits in any case
                    state = str(error)
                if not wait.pause("request " + id + ": {why}", state):
                    raise _TooLong(
                        f"there is no answer to the request {id} after {limit:.0f} s: {state}. It "
                        f"is not lost: lensa.pending({self._caller.endpoint!r}, {id!r}) finds it, "
                        "from any machine.",
                        retry_after=60,
                    )
        except (_TooLong, AccountError, ServiceError, UnreadableAnswer):
            raise  # the request stays, and so may its answer
        except LensaError:
            self._delete(id)  # it has failed, and no answer will come
            raise
        if not keep:
            self._delete(id)
        return response

    def forget(self, id: str) -> None:
        """AWS reads the request when its turn comes: if it is gone, that fails, and costs
        nothing. What is drawn already comes all the same, and a later call deletes it."""
        self._delete(id, may_come=True)

    # --- inside ---

    def _delete(self, id: str, *, may_come: bool = False) -> None:
        """Delete a request and its answer. What `may_come` later is noted down, if it is not there
        yet."""
        if not _ID.fullmatch(id):
            return  # no request of ours; and an empty one would mean all of them
        try:
            try:
                where = self._where(id)
            except NotFoundError:
                where = {}
            gone = sum(self._store.delete(key) for key in where.values() if key)
            if may_come and where and not gone:
                self._store.write(f"{self._forgotten}{id}.json", json.dumps(where).encode())
            self._store.delete(self._folder(id))
        except LensaError as error:
            log.warning("the request %s and its answer are still in the bucket: %s", id, error)

    def _sweep(self) -> None:
        """Delete the answers that have come to what was forgotten."""
        try:
            for note in list(self._store.list(self._forgotten)):
                where = json.loads(self._store.read(note.key) or b"{}")
                gone = sum(self._store.delete(key) for key in where.values() if key)
                if gone or datetime.now(UTC) - note.modified > _NOTHING_COMES:
                    self._store.delete(note.key)
        except (LensaError, ValueError) as error:
            log.warning("what was forgotten is still in the bucket: %s", error)

    def _ask(self, id: str) -> None:
        """Tell AWS of a request that lies in the bucket, and note where the answer will be."""
        answer, _ = self._caller.call(
            "invoke_endpoint_async",
            InputLocation=self._store.bucket.uri(f"{self._folder(id)}/request.json"),
            ContentType=JSON,
            Accept=JSON,
            InferenceId=id,
            RequestTTLSeconds=QUEUED_SECONDS,
            InvocationTimeoutSeconds=DRAWN_SECONDS,
        )
        failure = answer.get("FailureLocation")
        where = {
            "answer": self._key(answer["OutputLocation"]),
            "failure": self._key(failure) if failure else "",
        }
        self._store.write(f"{self._folder(id)}/where.json", json.dumps(where).encode())

    def _where(self, id: str) -> dict[str, str]:
        """Return the keys of an answer, and of a failure."""
        content = self._store.read(f"{self._folder(id)}/where.json") if _ID.fullmatch(id) else None
        if content is None:
            raise NotFoundError(
                f"the endpoint {self._caller.endpoint} has no request {id!r}: its answer was "
                "fetched before, or it was asked too long ago."
            )
        where: dict[str, str] = json.loads(content)
        return where

    @property
    def _forgotten(self) -> str:
        return f"{keys.asynchronous(self._caller.endpoint)}/forgotten/"

    def _folder(self, id: str) -> str:
        return f"{keys.asynchronous(self._caller.endpoint)}/requests/{id}"

    def _key(self, uri: str) -> str:
        root = self._store.bucket.uri("")
        if not uri.startswith(root):
            raise EndpointError(
                f"the endpoint {self._caller.endpoint} puts its answers into {uri}, which is not "
                f"below {root}: it was deployed with other settings (bucket, prefix). Use those."
            )
        return uri.removeprefix(root)

    def _state(self) -> str:
        """Return in words what a request waits for; EndpointError if there is nothing to."""
        found: dict[str, Any] = self._caller.describe()
        status = found["EndpointStatus"]
        if status not in SERVING | {"Creating"}:
            raise EndpointError(
                f"the endpoint {self._caller.endpoint} is {status} "
                f"({found.get('FailureReason') or 'no reason given'}). Deploy the avatar again."
            )
        variants = found.get("ProductionVariants") or [{}]
        if variants[0].get("CurrentInstanceCount", 1):
            return "it is drawn, or others are before it"
        if variants[0].get("DesiredInstanceCount"):
            return "waking, its machine starts (minutes)"
        return "queued, AWS will start a machine for it (minutes)"


class _TooLong(EndpointBusy):
    """The time to wait is over; the request stays in the queue."""
