"""The steps of a deployment, each for itself: see deploying.py for their order."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from lensa.backends.base import Server
from lensa.backends.sagemaker.follow import Pause
from lensa.backends.sagemaker.hosting import scaling
from lensa.backends.sagemaker.hosting.composing import manifest_blob
from lensa.backends.sagemaker.hosting.last_words import last_words
from lensa.backends.sagemaker.hosting.log_place import log_place
from lensa.backends.sagemaker.hosting.order import Order, Site
from lensa.backends.sagemaker.hosting.request import (
    DEPLOYMENT_TAG,
    EXTEND_TAG,
    KEEP_TAG,
    tags,
)
from lensa.backends.sagemaker.hosting.schedule import Schedules
from lensa.backends.sagemaker.hosting.state import EndpointState, accepted, describe, status
from lensa.backends.sagemaker.refusal_table import QUOTA
from lensa.backends.sagemaker.refusals import error_code, explained
from lensa.contract import GenerationRequest
from lensa.contract.events import Event, NoticeEvent, PhaseEvent, ProgressEvent
from lensa.errors import AccountError, EndpointBusy, EndpointError, LensaError, ServiceError

OnEvent = Callable[[Event], None]
Ask = Callable[[Callable[[str], None]], Server]  # a server that tells of its waits in words

# What the serving container itself draws to find out whether it can.
PROBE = GenerationRequest.model_validate(
    {"prompt": "", "steps": 1, "width": 64, "height": 64, "seed": 0, "safety": False}
)


class Failure(Exception):
    """An endpoint that does not come up, or does not draw: why, and how its log ended then."""

    def __init__(self, reason: str, log: list[str]) -> None:
        super().__init__(reason)
        self.reason, self.log = reason, log


class Making:
    """One endpoint as it is made, and whoever is told of it."""

    def __init__(self, site: Site, order: Order, ask: Ask, on_event: OnEvent) -> None:
        self._site, self._order, self._ask, self._tell = site, order, ask, on_event
        self._client: Any = site.account.client("sagemaker")
        self._schedules = Schedules(site.account)
        self._began = time.monotonic()
        self._ends: set[datetime] = set()  # that were set here
        self._token = secrets.token_hex(8)  # the endpoint's that this call creates

    @property
    def _name(self) -> str:
        return self._order.endpoint

    def settled(self) -> EndpointState | None:
        """Return the endpoint as it is, when it is not on its way from one state to another."""
        account, pause = self._site.account, Pause(self._site.settings.poll_seconds)
        while (found := describe(account, self._name)) is not None:
            if found.settled or not found.ours:
                return found
            self.phase(found.status.lower())
            pause.wait()
        return None

    def upload(self) -> None:
        served, store = self._order.served, self._site.store
        self._order.base.bring(store, self._progress)
        store.copy(served.copies, on_progress=self._progress)
        manifests = [manifest_blob(avatar, served.folder(avatar)) for avatar in served.avatars]
        store.put([*served.blobs, *manifests], on_progress=self._progress)

    def set_end(self, found: EndpointState | None) -> bool:
        """Set the end, unless there is a later one: only `lensa down` ends an endpoint sooner.

        Returns whether it is another one now.
        """
        kept = self._order.options.lifetime
        if kept is None:
            self._schedules.remove(self._name)
            return True
        if found is not None and found.forever:
            self.say("it is kept for ever, as it was asked for before.")
            return False
        end = datetime.now(UTC) + kept
        before = self._schedules.end(self._name) if found is not None else None
        if before is not None and before >= end:
            return False
        self._ends.add(end.replace(microsecond=0))
        self._schedules.put(self._name, end, self._site.scheduler_role)
        return True

    def set_end_anew(self) -> None:
        """Count from here: the upload may have taken its time, and an end that comes before the
        endpoint would be none."""
        kept = self._order.options.lifetime
        if kept is not None:
            end = datetime.now(UTC) + kept
            self._ends.add(end.replace(microsecond=0))
            self._schedules.move(self._name, end)

    def end_is_ours(self) -> bool:
        """Whether the end is still the one that was set here, or there is none: another client
        that makes the same endpoint has set its own."""
        end = self._schedules.end(self._name)
        return end is None or end in self._ends

    def make_parts(self) -> None:
        """Make the model and the configuration. They are called after their content: those that are
        there already are the same."""
        for kind, create, request in (
            ("model", self._client.create_model, self._order.model),
            ("configuration", self._client.create_endpoint_config, self._order.config),
        ):
            with explained(f"creating the {kind} of {self._name}"):
                _unless_there(create, request)

    def make_endpoint(self) -> bool:
        """Return whether it was made here; another client may have been quicker.

        That it is there already AWS also says to a request that was sent twice, because the first
        answer was lost: its tag tells.
        """
        with explained(f"creating the endpoint {self._name}"):
            made = _unless_there(
                self._client.create_endpoint,
                {
                    "EndpointName": self._name,
                    "EndpointConfigName": self._order.config["EndpointConfigName"],
                    "Tags": [*self._tags, {"Key": DEPLOYMENT_TAG, "Value": self._token}],
                },
            )
        return made or self.made_here(describe(self._site.account, self._name))

    def made_here(self, found: EndpointState | None) -> bool:
        """Whether an endpoint is the one that this call has created."""
        return found is not None and found.deployment == self._token

    def change_to(self, config: str) -> None:
        """Let it serve another configuration, as soon as it can be changed."""
        pause = Pause(self._site.settings.poll_seconds)

        def update() -> None:
            self._client.update_endpoint(EndpointName=self._name, EndpointConfigName=config)

        while True:
            try:
                with explained(f"updating the endpoint {self._name}"):
                    if accepted(update):
                        return
            except AccountError as error:
                if error_code(error.__cause__) not in QUOTA:
                    raise
                raise AccountError(
                    f"{error}\nWhile it is updated, the old machine and the new one run side by "
                    f"side: have a quota of two, or take it down first (lensa down {self._name})."
                ) from error.__cause__
            pause.wait()
            self.arrived()

    def arrived(self) -> EndpointState:
        """Return when the endpoint has arrived, wherever."""
        pause = Pause(self._site.settings.poll_seconds)
        while True:
            try:
                state = status(self._site.account, self._name)
            except ServiceError as error:
                pause.trouble(error)
                pause.wait()
                continue
            pause.fine()
            if state is None:
                raise EndpointError(f"the endpoint {self._name} was deleted by somebody else.")
            if state.settled:
                return state
            self.phase(state.status.lower())
            pause.wait()

    def prove(self) -> None:
        """Let it draw a small image. InService says that a port is open; in AWS's image it is so
        while the model loads, and after that has failed.

        Raises Failure if it does not draw. That nobody knows is another matter: EndpointBusy if it
        has no time, AccountError and ServiceError if it could not be asked.
        """
        self.phase("loading")
        server = self._ask(lambda words: self.phase("loading", words))
        one = self._order.avatar.avatar
        try:
            server.invoke(PROBE.model_copy(update={"avatar": one}))
        except (EndpointBusy, AccountError, ServiceError):
            raise
        except LensaError as error:
            raise self.failure(f"it does not draw: {error}") from error

    def scale(self, most: int | None = None) -> None:
        """Let an asynchronous endpoint scale, to as many machines as asked for, or to `most`."""
        options = self._order.options
        if options.asynchronous:
            scaling.scale_to_zero(
                self._site.account, self._name, scaling.VARIANT, most or options.max_instances
            )

    def tag(self, found: EndpointState, *, moved: bool) -> None:
        """Let the tags say what is so now. `moved`: whether the end is another one; if not, how
        long it is kept stays what it was."""
        told = {tag["Key"]: tag["Value"] for tag in self._tags}
        if not moved and found.keep:
            told[KEEP_TAG] = found.keep
        stale = [EXTEND_TAG] if found.extend and EXTEND_TAG not in told else []
        new = {key: value for key, value in told.items() if found.tags.get(key) != value}
        if not (new or stale):
            return
        with explained(f"tagging the endpoint {self._name}"):
            arn = self._client.describe_endpoint(EndpointName=self._name)["EndpointArn"]
            if new:
                self._client.add_tags(
                    ResourceArn=arn,
                    Tags=[{"Key": key, "Value": value} for key, value in new.items()],
                )
            if stale:
                self._client.delete_tags(ResourceArn=arn, TagKeys=stale)

    def failure(self, reason: str) -> Failure:
        """Return what went wrong, with the log as it is now: another container may write next."""
        return Failure(reason, last_words(self._site.account, self._name))

    def told(self, failure: Failure, after: str) -> EndpointError:
        """Return the error for who called. `after`: what has become of the endpoint."""
        lines, reason = failure.log, failure.reason.rstrip(".") or "no reason given"
        said = "".join(f"\n  {line}" for line in lines)
        return EndpointError(
            f"the endpoint {self._name} failed: {reason}. {after}"
            + (f"\nThe last lines of its log:{said}" if said else "")
            + f"\n{log_place(self._site.account, self._name)}"
        )

    # --- what is told ---

    @property
    def _tags(self) -> list[dict[str, str]]:
        return tags(self._name, self._order.options, self._order.avatar.avatar)

    def phase(self, phase: str, message: str = "") -> None:
        seconds = time.monotonic() - self._began
        self._tell(PhaseEvent(phase=phase, seconds=seconds, message=message))

    def go_on_whoever_listens(self) -> None:
        """From here on a listener that fails is passed over: what costs has to go."""
        tell = self._tell

        def quietly(event: Event) -> None:
            with suppress(Exception):
                tell(event)

        self._tell = quietly

    def say(self, message: str) -> None:
        self._tell(NoticeEvent(message=message))

    def _progress(self, done: int, total: int) -> None:
        self._tell(ProgressEvent(stage="uploading", step=done, of=total))


def _unless_there(create: Callable[..., Any], request: dict[str, Any]) -> bool:
    """Create something, and return False if it is there already."""
    from botocore.exceptions import ClientError

    try:
        create(**request)
    except ClientError as error:
        if "already exist" not in str(error).lower():
            raise
        return False
    return True
