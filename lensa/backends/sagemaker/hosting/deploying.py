"""Making an endpoint, in this order: its end, what it serves, itself; then one image to prove it.

What fails, or is interrupted, leaves nothing. Asked for again, an endpoint that runs as it is
wanted stays as it is, and one that differs is updated without a pause in its service.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from lensa.backends.sagemaker.hosting import parts, scaling
from lensa.backends.sagemaker.hosting.leftovers import is_orphan
from lensa.backends.sagemaker.hosting.making import Ask, Making, OnEvent
from lensa.backends.sagemaker.hosting.order import Order, Site
from lensa.backends.sagemaker.hosting.removing import Removal, remove, remove_parts
from lensa.backends.sagemaker.hosting.schedule import Schedules
from lensa.backends.sagemaker.hosting.state import EndpointState, status
from lensa.errors import AccountError, ConfigError, LensaError


class Deployment:
    """One call of `deploy`."""

    def __init__(
        self, site: Site, order: Order, ask: Ask, check: Callable[[], None], on_event: OnEvent
    ) -> None:
        """`check` raises what stands in the way of a new endpoint, all at once."""
        self._site, self._order, self._check = site, order, check
        self._making = Making(site, order, ask, on_event)

    @property
    def _name(self) -> str:
        return self._order.endpoint

    def run(self, *, wait: bool = True) -> None:
        """Return when the endpoint draws; without `wait`, when it is on its way.

        Raises EndpointError if it does not, with the reason and the end of its log: it is gone
        then, as it is after any other error here and after Ctrl-C.
        """
        found = self._making.settled()
        if found is not None and not found.ours:
            raise AccountError(
                f"there is an endpoint {self._name} that lensa did not make: give another name."
            )
        if found is not None and found.status != "InService":
            self._making.say(f"{self._name} is {found.status}: it is taken down and made anew.")
            for error in self._remove().failed:
                raise error
            found = None
        if found is None:
            self._create(wait)
        elif found.config == self._order.config["EndpointConfigName"]:
            self._keep(found, wait)
        else:
            self._update(found)
        if wait:
            self._making.phase("ready")

    # --- the three ways ---

    def _create(self, wait: bool) -> None:
        self._check()
        if is_orphan(self._site, self._name):
            self._remove()  # what an earlier one of that name left, when its end had come
        asked = False  # for the endpoint: until then one of that name is somebody else's
        try:
            self._making.set_end(None)
            self._making.upload()
            self._making.make_parts()
            self._making.set_end_anew()
            asked = True
            asked = self._making.make_endpoint()
            if wait:
                state = self._making.arrived()
                if state.status != "InService":
                    raise self._making.failed(state.reason)
                self._making.prove()
                self._making.scale()
        except BaseException:
            self._clean_up(asked)
            raise

    def _keep(self, found: EndpointState, wait: bool) -> None:
        """It runs as it is wanted: only its end may be another. Whoever made it may have died
        before it was proved, or before it was let scale."""
        self._making.say(f"{self._name} runs already.")
        self._making.set_end(found)
        self._making.tag(found)
        self._making.scale()
        if wait and not self._order.options.asynchronous:  # which one image would wake
            self._making.prove("It runs on.")

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
        self._making.upload()
        self._making.set_end(found)
        self._making.make_parts()
        if options.asynchronous:  # its number of machines is not changed under an update
            scaling.remove(account, self._name)
        self._making.change_to(self._order.config["EndpointConfigName"])
        state = self._making.arrived()
        if state.config != self._order.config["EndpointConfigName"]:
            self._drop_all_but(before)
            self._making.scale()
            raise self._making.failed(state.reason, "It goes on serving what it did.")
        try:
            self._making.prove(
                "It serves again what it did." if before is not None else "It stays so."
            )
        except LensaError:
            if before is not None:
                self._go_back(before)
            raise
        self._making.scale()
        self._making.tag(found)
        self._drop_all_but(parts.contents(account, bucket, state.config))

    def _go_back(self, before: parts.Contents) -> None:
        """Let it serve what it did before an update that does not draw."""
        self._making.say("it does not draw: back to what it served before.")
        self._making.change_to(before.config)
        self._making.arrived()
        self._drop_all_but(before)
        self._making.scale()

    # --- what goes ---

    def _clean_up(self, asked: bool) -> None:
        """Take down what was made. If that is not possible, say so: its end comes all the same.

        What was not asked for here and is there all the same is another client's, and stays.
        """
        failed: list[str] = []
        self._making.go_on_whoever_listens()
        try:
            if not asked and status(self._site.account, self._name) is not None:
                return
            self._making.say("taking down what was made.")
            failed = [str(error) for error in self._remove().failed]
        except KeyboardInterrupt:
            failed = ["interrupted."]
        except LensaError as error:
            failed = [str(error)]
        if not failed:
            return
        end = None
        with suppress(LensaError):
            end = Schedules(self._site.account).end(self._name)
        then = "No end is set for it" if end is None else f"It ends {end:%Y-%m-%d %H:%M} UTC"
        self._making.say(
            f"not all of {self._name} could be removed: {' '.join(failed)} {then}. "
            f"To be sure: lensa down {self._name}"
        )

    def _remove(self) -> Removal:
        return remove(
            self._site.account,
            self._site.store,
            self._name,
            poll_seconds=self._site.settings.poll_seconds,
            answers=False,  # of an earlier one of that name
            on_state=lambda state: self._making.phase(
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
            self._making.say(str(error))
