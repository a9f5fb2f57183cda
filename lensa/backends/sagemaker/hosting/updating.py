"""Changing what an endpoint serves: the old machine answers until the new one does.

An update that fails, or does not draw, leaves what served before. Whatever happens, an asynchronous
endpoint scales again afterwards: without that it would have its machine until its end.
"""

from __future__ import annotations

from lensa.backends.sagemaker.hosting import parts, scaling
from lensa.backends.sagemaker.hosting.making import Failure, Making
from lensa.backends.sagemaker.hosting.order import Order, Site
from lensa.backends.sagemaker.hosting.removing import Removal, remove_parts
from lensa.backends.sagemaker.hosting.state import EndpointState, status
from lensa.errors import ConfigError, EndpointBusy, LensaError


class Updating:
    """One update of an endpoint that is in service."""

    def __init__(
        self,
        site: Site,
        order: Order,
        making: Making,
        found: EndpointState,
        before: parts.Contents,
    ) -> None:
        """`before` is what it serves."""
        self._site, self._order, self._making = site, order, making
        self._found, self._before = found, before
        self._wanted = order.config["EndpointConfigName"]
        self._most: int | None = None  # machines that it might have before

    @property
    def _name(self) -> str:
        return self._order.endpoint

    def run(self) -> None:
        """Return when it draws. EndpointError says what it serves if it does not."""
        self._check()
        moved = self._making.set_end(self._found)  # it must not end under the update
        try:
            self._making.upload()
            self._making.make_parts()
            self._stop_scaling()
            self._making.change_to(self._wanted)
            state = self._arrive()
            self._prove()
        except Failure as failure:
            after = self._settle_somehow()
            raise self._making.told(failure, after) from failure.__cause__
        except BaseException:
            self._settle_somehow()
            raise
        self._settle(state)
        self._making.tag(self._found, moved=moved)

    def _check(self) -> None:
        if self._before.asynchronous != self._order.options.asynchronous:
            kind = "an asynchronous" if self._before.asynchronous else "a real-time"
            raise ConfigError(
                f"{self._name} is {kind} endpoint, and SageMaker makes no other kind of it: take "
                f"it down first (lensa down {self._name}), or give another name."
            )

    def _stop_scaling(self) -> None:
        """The number of machines is not changed under an update."""
        if self._before.asynchronous:
            self._most = scaling.most(self._site.account, self._name)
            scaling.remove(self._site.account, self._name)

    def _arrive(self) -> EndpointState:
        state = self._making.arrived()
        if state.config != self._wanted:
            raise self._making.failure(state.reason)
        return state

    def _prove(self) -> None:
        """Go back to what it served before if the new container fails. One that has no time just
        now may draw very well."""
        try:
            self._making.prove()
        except EndpointBusy as busy:
            self._making.say(f"it is updated, and nobody knows yet whether it draws: {busy}")
        except Failure:
            self._go_back()
            raise

    def _go_back(self) -> None:
        self._making.say("it does not draw: back to what it served before.")
        try:
            self._making.change_to(self._before.config)
            self._making.arrived()
        except LensaError as error:  # what went wrong before matters more
            self._making.say(str(error))

    def _settle_somehow(self) -> str:
        """Settle after an error, and return in words what has become of the endpoint. What cannot
        be done is said: the error itself matters more."""
        self._making.go_on_whoever_listens()
        try:
            if self._before.asynchronous:  # only what has arrived can be let scale
                self._making.arrived()
            state = status(self._site.account, self._name)
            if state is None:
                return "It is gone."
            if state.settled:
                self._settle(state)
        except LensaError as error:
            self._making.say(f"{error} To be sure: lensa down {self._name}")
            return "What it serves now nobody knows: lensa ps."
        except KeyboardInterrupt:
            self._making.say(
                f"interrupted: {self._name} may not scale any more. Deploy it once more, or: "
                f"lensa down {self._name}"
            )
            raise
        if state.status != "InService":
            return f"It is {state.status} now: lensa down {self._name}"
        if state.config == self._before.config:
            return "It serves what it did before."
        return f"It serves what was wanted, all the same. To take it down: lensa down {self._name}"

    def _settle(self, state: EndpointState) -> None:
        """Let it scale again, and drop what it does not serve."""
        self._making.scale(None if state.config == self._wanted else self._most)
        self._drop_all_but(
            parts.contents(self._site.account, self._site.store.bucket, state.config)
        )

    def _drop_all_but(self, spared: parts.Contents | None) -> None:
        if spared is None:
            return
        dropped = Removal(self._name)
        remove_parts(self._site.account, self._site.store, self._name, dropped, but=spared)
        for error in dropped.failed:  # nothing that costs by the hour
            self._making.say(str(error))
