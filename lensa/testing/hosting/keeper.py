"""Keeps an endpoint: brings its containers up, changes them, and takes them down."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from datetime import datetime, timedelta

from lensa.testing.answers import AwsError
from lensa.testing.channels import DownloadError
from lensa.testing.cloudwatch import open_stream
from lensa.testing.hosting.backlog import Backlog
from lensa.testing.hosting.endpoint import TwinEndpoint
from lensa.testing.hosting.resources import Resource
from lensa.testing.hosting.restarts import Restarts
from lensa.testing.hosting.scaling import wanted
from lensa.testing.hosting.serving import ServingContainer
from lensa.testing.sites import Site

_TICK = 0.05  # real seconds between two looks at an endpoint
_DRAIN = 60.0  # real seconds that a replaced container has for what it was asked
_HEALTH_CHECK = 600  # seconds of the clock, unless the variant says otherwise

ModelOf = Callable[[str, str], Resource]
"""(name, region) -> the model, or AwsError."""


class _NotUp(Exception):
    """A container that does not come up; the text is the endpoint's FailureReason."""


class Keeper:
    """One endpoint in a thread of its own."""

    def __init__(
        self, endpoint: TwinEndpoint, site: Site, model_of: ModelOf, forget: Callable[[], None]
    ) -> None:
        """`forget` is called when the endpoint has been deleted."""
        self.endpoint, self._site = endpoint, site
        self._model_of, self._forget = model_of, forget
        self.backlog = Backlog(endpoint, site)
        self._restarts = Restarts()
        self._thread = threading.Thread(target=self._run, name=f"twin-{endpoint.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End everything of it, whatever it is doing."""
        self.endpoint.closing = True
        self.endpoint.wake.set()
        self._thread.join()

    def _run(self) -> None:
        endpoint = self.endpoint
        while not endpoint.over:
            try:
                self._look()
            except Exception:
                # A test has to see what is wrong with the twin, not wait for it.
                endpoint.enter("Failed", f"InternalServerError: {traceback.format_exc()[-1000:]}")
            endpoint.wake.wait(_TICK)
            endpoint.wake.clear()
        self._take_down()
        self.backlog.close()
        if endpoint.deleting:
            self._forget()
        endpoint.gone.set()

    def _look(self) -> None:
        """Do what is to be done now."""
        endpoint = self.endpoint
        if endpoint.status in {"Creating", "Updating"} and endpoint.pending is not None:
            self._deploy()
        elif endpoint.status in {"InService", "Updating"}:
            self._keep_up()

    def _deploy(self) -> None:
        """Bring the pending configuration up; what serves until then is not touched."""
        endpoint, config = self.endpoint, self.endpoint.pending
        assert config is not None
        try:
            container = self._bring_up(config)
        except _NotUp as problem:
            failed = endpoint.status == "Creating"
            with endpoint.lock:
                endpoint.pending = None
                endpoint.enter("Failed" if failed else "InService", str(problem))
            return
        if container is None:
            return
        before = endpoint.container
        endpoint.serve(
            config, container, config.request["ProductionVariants"][0]["InitialInstanceCount"]
        )
        self._restarts.started(time.monotonic())
        self.backlog.touch()
        if before is not None:
            self._drain(before)
            before.close()

    def _drain(self, container: ServingContainer) -> None:
        """Let a container that has been replaced answer what it was asked."""
        end = time.monotonic() + _DRAIN
        while container.asked and time.monotonic() < end and not self.endpoint.over:
            time.sleep(_TICK)

    def _keep_up(self) -> None:
        """See that there is a container that runs, if there is to be one."""
        endpoint = self.endpoint
        self._scale()
        count = endpoint.desired
        if endpoint.container is not None and not count:
            self._take_down()
        elif endpoint.container is not None and endpoint.container.exit_code() is not None:
            self._restarts.ended(time.monotonic())
            self._take_down()
        if endpoint.container is None and count and self._may_start():
            self._start_again()
        if endpoint.container is not None or not count:
            endpoint.scaled(count)

    def _scale(self) -> None:
        """Let an asynchronous endpoint have as many instances as its scaling wants now."""
        endpoint, backlog = self.endpoint, self.backlog
        with endpoint.lock:
            if not endpoint.asynchronous or endpoint.status != "InService":
                return
            count = wanted(
                endpoint.name,
                endpoint.variant["VariantName"],
                endpoint.region,
                now=endpoint.desired,
                backlog=backlog.size(),
                idle=backlog.idle(),
            )
            if count <= endpoint.desired or self._may_start():
                endpoint.scale_to(count)

    def _may_start(self) -> bool:
        return self._restarts.may(time.monotonic())

    def _start_again(self) -> None:
        """Bring up what an endpoint lacks that has ended, or that wakes.

        If that fails, one that wakes sleeps on; one whose container had ended stays as it is. It is
        tried again.
        """
        endpoint = self.endpoint
        try:
            endpoint.container = self._bring_up(endpoint.config)
        except _NotUp as problem:
            self._restarts.ended(time.monotonic())
            endpoint.take_line(f"lensa.testing: {problem}")
            endpoint.not_scaled(str(problem))
        else:
            self._restarts.started(time.monotonic())
        self.backlog.touch()

    def _bring_up(self, config: Resource) -> ServingContainer | None:
        """Return a container that is healthy, or None if the endpoint is to go. Raises _NotUp."""
        endpoint, site = self.endpoint, self._site
        variant = config.request["ProductionVariants"][0]
        if slow := site.faults.take("waking", endpoint.name):
            deploying = endpoint.status in {"Creating", "Updating"}
            self._pass_time(slow.seconds, endpoint.modified if deploying else site.clock.now())
        fault = site.faults.take("endpoint", endpoint.name)
        try:
            model = self._model_of(variant["ModelName"], endpoint.region)
        except AwsError as problem:
            raise _NotUp(problem.message) from None
        container = ServingContainer(endpoint.name, model.request, endpoint.region, site)
        try:
            container.download()
            stream = f"{variant['VariantName']}/{container.instance}"
            in_cloudwatch = open_stream(endpoint.group, stream, endpoint.region, site.clock)

            def take(line: str) -> None:
                in_cloudwatch(line)
                endpoint.take_line(line)

            last_words = (
                ["/bin/sh", "-c", 'printf "%s\\n" "$0"; exit 1', fault.log] if fault else None
            )
            container.start(take, last_words)
            started = site.clock.now()
            endpoint.starts += 1  # from here on a test may move the clock
            if self._healthy(container, variant, started):
                return container
        except DownloadError as problem:
            container.close()
            raise _NotUp(str(problem)) from None
        except BaseException:
            container.close()
            raise
        container.close()
        if endpoint.over:
            return None
        raise _NotUp(
            (fault.failure if fault else "")
            or f"The primary container for production variant {variant['VariantName']} did not "
            "pass the ping health check. Please check CloudWatch logs for this endpoint."
        )

    def _healthy(
        self, container: ServingContainer, variant: dict[str, object], started: datetime
    ) -> bool:
        """Wait until it is healthy, has ended, or its time is up.

        SageMaker starts a container that has ended again until the time is up; here that is all.
        """
        clock = self._site.clock
        seconds = variant.get("ContainerStartupHealthCheckTimeoutInSeconds", _HEALTH_CHECK)
        assert isinstance(seconds, int)
        end = started + timedelta(seconds=seconds)
        while not self.endpoint.over:
            if container.healthy():
                return True
            if container.exit_code() is not None or clock.now() > end:
                return False
            self.endpoint.wake.wait(_TICK)
            self.endpoint.wake.clear()
        return False

    def _pass_time(self, seconds: float, start: datetime) -> None:
        end = start + timedelta(seconds=seconds)
        while self._site.clock.now() < end and not self.endpoint.over:
            self.endpoint.wake.wait(_TICK)
            self.endpoint.wake.clear()

    def _take_down(self) -> None:
        container, self.endpoint.container = self.endpoint.container, None
        if container is not None:
            container.close()
