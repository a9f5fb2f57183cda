"""Making an endpoint, in this order: its end, what it serves, itself; then one image to prove it.

What fails, or is interrupted, leaves nothing. Asked for again, an endpoint that runs as it is
wanted stays as it is, and one that differs is updated without a pause in its service: updating.py.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from lensa.backends.sagemaker.hosting import parts
from lensa.backends.sagemaker.hosting.leftovers import is_orphan
from lensa.backends.sagemaker.hosting.making import Ask, Failure, Making, OnEvent
from lensa.backends.sagemaker.hosting.order import Order, Site
from lensa.backends.sagemaker.hosting.removing import Removal, remove, sweep
from lensa.backends.sagemaker.hosting.schedule import Schedules
from lensa.backends.sagemaker.hosting.state import EndpointState, describe
from lensa.backends.sagemaker.hosting.updating import Updating
from lensa.errors import AccountError, EndpointBusy, LensaError

_TAKEN_DOWN = "Everything was taken down again."
_THEIRS = "Another client has made it meanwhile, and it stays."
_LEFT = "Not all of it could be taken down."


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

    def run(self, *, wait: bool = True) -> bool:
        """Return when the endpoint draws; without `wait`, when it is on its way. True: it was
        created here; False: it was found.

        Raises EndpointError if it does not, with the reason and the end of its log. What was
        created here is gone then, as it is after any other error here and after Ctrl-C.
        """
        found = self._making.settled()
        if found is not None and not found.ours:
            raise AccountError(
                f"there is an endpoint {self._name} that lensa did not make: give another name."
            )
        before = None
        if found is not None:
            before = parts.contents(self._site.account, self._site.store.bucket, found.config)
            if found.status != "InService" or before is None:
                why = found.status if before is not None else "without its configuration or model"
                self._making.say(f"{self._name} is {why}: it is taken down and made anew.")
                self._remove_first()
                found = None
        created = False
        if found is None or before is None:
            created = self._create(wait)
        elif found.config == self._order.config["EndpointConfigName"]:
            self._keep(found, wait)
        else:
            Updating(self._site, self._order, self._making, found, before).run()
        if wait:
            self._making.phase("ready")
        return created

    # --- the ways ---

    def _create(self, wait: bool) -> bool:
        """Return whether it was created here; another client may have been quicker."""
        self._check()
        if is_orphan(self._site, self._name):
            self._remove_first()  # what an earlier one of that name left, when its end had come
        try:
            self._making.set_end(None)
            self._making.upload()
            self._making.make_parts()
            self._making.set_end_anew()
            created = self._making.make_endpoint()
            if wait:
                self._wait_for()
        except Failure as failure:
            raise self._making.told(failure, self._clean_up()) from failure.__cause__
        except BaseException:
            self._clean_up()
            raise
        return created

    def _wait_for(self) -> None:
        state = self._making.arrived()
        if state.status != "InService":
            raise self._making.failure(state.reason)
        # First: from here on it costs, and whoever waits for it may die.
        self._making.scale()
        try:
            self._making.prove()
        except EndpointBusy as busy:
            raise self._making.failure(f"it does not draw: {busy}") from busy

    def _keep(self, found: EndpointState, wait: bool) -> None:
        """It runs as it is wanted: only its end may be another. Whoever made it may have died
        before it was proved, or before it was let scale."""
        self._making.say(
            f"{self._name} runs already, and runs on: close() or lensa down takes it down."
        )
        moved = self._making.set_end(found)
        self._making.tag(found, moved=moved)
        self._making.scale()
        if not wait or self._order.options.asynchronous:  # which one image would wake
            return
        try:
            self._making.prove()
        except EndpointBusy as busy:
            self._making.say(f"nobody knows yet whether it draws: {busy}")
        except Failure as failure:
            after = f"It runs on, and costs: lensa down {self._name}"
            raise self._making.told(failure, after) from failure.__cause__

    # --- what goes ---

    def _clean_up(self) -> str:
        """Take down what was made, and return in words what has become of it. If that is not
        possible, say so: its end comes all the same.

        What is there and was not created here is another client's, and stays. If nothing is there,
        another client may be about to make it: then its end is not the one that was set here.
        """
        failed: list[str] = []
        self._making.go_on_whoever_listens()
        try:
            found = describe(self._site.account, self._name)
            if found is not None and not self._making.made_here(found):
                return _THEIRS
            if found is None and not self._making.end_is_ours():
                return _THEIRS
            self._making.say("taking down what was made.")
            if found is not None:
                done = self._remove()
            else:
                done = Removal(self._name)
                sweep(self._site.account, self._site.store, self._name, done, answers=False)
            failed = [str(error) for error in done.failed]
        except KeyboardInterrupt:
            failed = ["interrupted."]
        except LensaError as error:
            failed = [str(error)]
        if not failed:
            return _TAKEN_DOWN
        end = None
        with suppress(LensaError):
            end = Schedules(self._site.account).end(self._name)
        then = "No end is set for it" if end is None else f"It ends {end:%Y-%m-%d %H:%M} UTC"
        self._making.say(
            f"not all of {self._name} could be removed: {' '.join(failed)} {then}. "
            f"To be sure: lensa down {self._name}"
        )
        return _LEFT

    def _remove_first(self) -> None:
        """Remove what is in the way. Raises the first error if something stays."""
        for error in self._remove().failed:
            raise error

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
