"""Making an endpoint, in this order: its end, what it serves, itself; then one image to prove it.

What fails, or is interrupted, leaves nothing. Asked for again, an endpoint that runs as it is
wanted stays as it is, and one that differs is updated without a pause in its service.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from lensa.backends.base import Server
from lensa.backends.sagemaker.follow import Pause
from lensa.backends.sagemaker.hosting import parts, scaling
from lensa.backends.sagemaker.hosting.composing import manifest_blob
from lensa.backends.sagemaker.hosting.last_words import last_words
from lensa.backends.sagemaker.hosting.leftovers import is_orphan
from lensa.backends.sagemaker.hosting.log_place import log_place
from lensa.backends.sagemaker.hosting.order import Order, Site
from lensa.backends.sagemaker.hosting.removing import Removal, remove, remove_parts
from lensa.backends.sagemaker.hosting.request import VARIANT, tags
from lensa.backends.sagemaker.hosting.schedule import Schedules
from lensa.backends.sagemaker.hosting.state import EndpointState, describe, status
from lensa.backends.sagemaker.refusals import explained
from lensa.contract import GenerationRequest
from lensa.contract.events import Event, NoticeEvent, PhaseEvent, ProgressEvent
from lensa.errors import AccountError, ConfigError, EndpointError, LensaError, ServiceError

OnEvent = Callable[[Event], None]
Ask = Callable[[Callable[[str], None]], Server]  # a server that tells of its waits in words

# What the serving container itself draws to find out whether it can.
PROBE = GenerationRequest.model_validate(
    {"prompt": "", "steps": 1, "width": 64, "height": 64, "seed": 0, "safety": False}
)


_TAKEN_DOWN = "Everything was taken down again."


class Deployment:
    """One call of `deploy`."""

    def __init__(
        self, site: Site, order: Order, ask: Ask, check: Callable[[], None], on_event: OnEvent
    ) -> None:
        """`check` raises what stands in the way of a new endpoint, all at once."""
        self._site, self._order, self._ask, self._tell = site, order, ask, on_event
        self._check = check
        self._client: Any = site.account.client("sagemaker")
        self._schedules = Schedules(site.account)
        self._began = time.monotonic()

    @property
    def _name(self) -> str:
        return self._order.endpoint

    def run(self, *, wait: bool = True) -> None:
        """Return when the endpoint draws; without `wait`, when it is on its way.

        Raises EndpointError if it does not, with the reason and the end of its log: it is gone
        then, as it is after any other error here and after Ctrl-C.
        """
        found = self._settled()
        if found is not None and not found.ours:
            raise AccountError(
                f"there is an endpoint {self._name} that lensa did not make: give another name."
            )
        if found is not None and found.status != "InService":
            self._say(f"{self._name} is {found.status}: it is taken down and made anew.")
            self._remove()
            found = None
        if found is None:
            self._create(wait)
        elif found.config == self._order.config["EndpointConfigName"]:
            self._keep(found)
        else:
            self._update(found)
        if wait:
            self._phase("ready")

    # --- the three ways ---

    def _create(self, wait: bool) -> None:
        self._check()
        if is_orphan(self._site, self._name):
            self._remove()  # what an earlier one of that name left, when its end had come
        asked = False  # for the endpoint: until then one of that name is somebody else's
        try:
            self._set_end(None)
            self._upload()
            self._make_parts()
            self._set_end_anew()
            asked = True
            asked = self._make_endpoint()
            if wait:
                state = self._await()
                if state.status != "InService":
                    raise self._failed(state.reason)
                self._prove()
                self._scale()
        except BaseException:
            self._clean_up(asked)
            raise

    def _keep(self, found: EndpointState) -> None:
        """It runs as it is wanted: only its end may be another."""
        self._say(f"{self._name} runs already.")
        self._set_end(found)
        self._tag(found)

    def _update(self, found: EndpointState) -> None:
        account, bucket = self._site.account, self._site.store.bucket
        before = parts.contents(account, bucket, found.config)
        options = self._order.options
        if before is not None and before.asynchronous != options.asynchronous:
            kind = "an asynchronous" if before.asynchronous else "a real-time"
            raise ConfigError(
                f"{self._name} is {kind} endpoint, and SageMaker makes no other kind of it: take "
                f"it down first (lensa down {self._name}), or give another name."
            )
        self._upload()
        self._set_end(found)
        self._make_parts()
        if options.asynchronous:  # its number of machines is not changed under an update
            scaling.remove(account, self._name)
        self._change_to(self._order.config["EndpointConfigName"])
        state = self._await()
        if state.config != self._order.config["EndpointConfigName"]:
            self._drop_all_but(before)
            self._scale()
            raise self._failed(state.reason, "It goes on serving what it did.")
        try:
            self._prove("It serves again what it did." if before is not None else "It stays so.")
        except LensaError:
            if before is not None:
                self._go_back(before)
            raise
        self._scale()
        self._tag(found)
        self._drop_all_but(parts.contents(account, bucket, state.config))

    def _go_back(self, before: parts.Contents) -> None:
        """Let it serve what it did before an update that does not draw."""
        self._say("it does not draw: back to what it served before.")
        self._change_to(before.config)
        self._await()
        self._drop_all_but(before)
        self._scale()

    # --- the steps ---

    def _settled(self) -> EndpointState | None:
        """Return the endpoint as it is, when it is not on its way from one state to another."""
        account, pause = self._site.account, Pause(self._site.settings.poll_seconds)
        while (found := describe(account, self._name)) is not None:
            if found.settled or not found.ours:
                return found
            self._phase(found.status.lower())
            pause.wait()
        return None

    def _upload(self) -> None:
        served, store = self._order.served, self._site.store
        self._order.base.bring(store, self._progress)
        store.copy(served.copies, on_progress=self._progress)
        manifests = [manifest_blob(avatar, served.folder(avatar)) for avatar in served.avatars]
        store.put([*served.blobs, *manifests], on_progress=self._progress)

    def _set_end(self, found: EndpointState | None) -> None:
        """Set the end, unless there is a later one: only `lensa down` ends an endpoint sooner."""
        kept = self._order.options.lifetime
        if kept is None:
            self._schedules.remove(self._name)
            return
        if found is not None and found.forever:
            self._say("it is kept for ever, as it was asked for before.")
            return
        end = datetime.now(UTC) + kept
        before = self._schedules.end(self._name) if found is not None else None
        if before is None or before < end:
            self._schedules.put(self._name, end, self._site.scheduler_role)

    def _set_end_anew(self) -> None:
        """Count from here: the upload may have taken its time, and an end that comes before the
        endpoint would be none."""
        kept = self._order.options.lifetime
        if kept is not None:
            self._schedules.move(self._name, datetime.now(UTC) + kept)

    def _make_parts(self) -> None:
        """Make the model and the configuration. They are called after their content: those that are
        there already are the same."""
        for kind, create, request in (
            ("model", self._client.create_model, self._order.model),
            ("configuration", self._client.create_endpoint_config, self._order.config),
        ):
            with explained(f"creating the {kind} of {self._name}"):
                _unless_there(create, request)

    def _make_endpoint(self) -> bool:
        """Return whether it was made here; another client may have been quicker."""
        with explained(f"creating the endpoint {self._name}"):
            return _unless_there(
                self._client.create_endpoint,
                {
                    "EndpointName": self._name,
                    "EndpointConfigName": self._order.config["EndpointConfigName"],
                    "Tags": self._tags,
                },
            )

    def _change_to(self, config: str) -> None:
        with explained(f"updating the endpoint {self._name}"):
            self._client.update_endpoint(EndpointName=self._name, EndpointConfigName=config)

    def _await(self) -> EndpointState:
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
            self._phase(state.status.lower())
            pause.wait()

    def _prove(self, after: str = _TAKEN_DOWN) -> None:
        """Let it draw a small image. InService says that a port is open; in AWS's image it is so
        while the model loads, and after that has failed."""
        self._phase("loading")
        server = self._ask(lambda words: self._phase("loading", words))
        one = self._order.avatar.avatar
        try:
            server.invoke(PROBE.model_copy(update={"avatar": one}))
        except LensaError as error:
            raise self._failed(f"it does not draw: {error}", after) from error

    def _scale(self) -> None:
        options = self._order.options
        if options.asynchronous:
            scaling.scale_to_zero(self._site.account, self._name, VARIANT, options.max_instances)

    def _tag(self, found: EndpointState) -> None:
        told = {tag["Key"]: tag["Value"] for tag in self._tags}
        if found.forever:
            told["lensa:keep"] = found.keep
        if all(found.tags.get(key) == value for key, value in told.items()):
            return
        with explained(f"tagging the endpoint {self._name}"):
            arn = self._client.describe_endpoint(EndpointName=self._name)["EndpointArn"]
            self._client.add_tags(
                ResourceArn=arn,
                Tags=[{"Key": key, "Value": value} for key, value in told.items()],
            )

    # --- when it fails ---

    def _failed(self, reason: str, after: str = _TAKEN_DOWN) -> EndpointError:
        lines = last_words(self._site.account, self._name)
        said = "".join(f"\n  {line}" for line in lines)
        return EndpointError(
            f"the endpoint {self._name} failed: {reason.rstrip('.') or 'no reason given'}. {after}"
            + (f"\nThe last lines of its log:{said}" if said else "")
            + f"\n{log_place(self._site.account, self._name)}"
        )

    def _clean_up(self, asked: bool) -> None:
        """Take down what was made. If that is not possible, say so: its end comes all the same.

        What was not asked for here and is there all the same is another client's, and stays.
        """
        failed: list[str] = []
        try:
            if not asked and status(self._site.account, self._name) is not None:
                return
            self._say("taking down what was made.")
            failed = [str(error) for error in self._remove().failed]
        except KeyboardInterrupt:
            failed = ["interrupted."]
        except LensaError as error:
            failed = [str(error)]
        if not failed:
            return
        end = None
        with suppress(LensaError):
            end = self._schedules.end(self._name)
        then = "No end is set for it" if end is None else f"It ends {end:%Y-%m-%d %H:%M} UTC"
        self._say(
            f"not all of {self._name} could be removed: {' '.join(failed)} {then}. "
            f"To be sure: lensa down {self._name}"
        )

    def _remove(self) -> Removal:
        return remove(
            self._site.account,
            self._site.store,
            self._name,
            poll_seconds=self._site.settings.poll_seconds,
            on_state=lambda state: self._phase(
                "deleting"
                if state.status == "Deleting"
                else f"{state.status.lower()}, then deleted"
            ),
        )

    def _drop_all_but(self, spared: parts.Contents | None) -> None:
        if spared is None:
            return
        dropped = Removal(self._name)
        remove_parts(self._site.account, self._site.store, self._name, dropped, but=spared)
        for error in dropped.failed:  # nothing that costs by the hour
            self._say(str(error))

    # --- what is told ---

    @property
    def _tags(self) -> list[dict[str, str]]:
        return tags(self._name, self._order.options, self._order.avatar.avatar)

    def _phase(self, phase: str, message: str = "") -> None:
        seconds = time.monotonic() - self._began
        self._tell(PhaseEvent(phase=phase, seconds=seconds, message=message))

    def _say(self, message: str) -> None:
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
