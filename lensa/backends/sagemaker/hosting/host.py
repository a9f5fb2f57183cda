"""All that the backend does with endpoints, in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from lensa.backends.base import Queue, Running, TakenDown
from lensa.backends.sagemaker import prices
from lensa.backends.sagemaker.hosting import parts, running
from lensa.backends.sagemaker.hosting.calling import SERVING
from lensa.backends.sagemaker.hosting.deploying import Deployment
from lensa.backends.sagemaker.hosting.leftovers import has_left, orphans
from lensa.backends.sagemaker.hosting.options import ENDPOINT, DeployOptions
from lensa.backends.sagemaker.hosting.order import Order, Site, compose
from lensa.backends.sagemaker.hosting.removing import begin, remove
from lensa.backends.sagemaker.hosting.server import DeployedServer, queue_of
from lensa.backends.sagemaker.hosting.state import EndpointState, describe
from lensa.backends.sagemaker.preflight import before_deploy, require
from lensa.contract import AvatarManifest
from lensa.contract.events import Event, NoticeEvent
from lensa.errors import ConfigError, EndpointError, LensaError, NotFoundError

OnEvent = Callable[[Event], None]


class Host:
    """Endpoints in an account: made, found, and taken down."""

    def __init__(self, site: Site, find: Callable[[str], str]) -> None:
        """`find` returns the id of a finished avatar by its id or its subject's name."""
        self._site, self._find = site, find

    def deploy(
        self,
        avatars: Sequence[AvatarManifest],
        options: DeployOptions,
        on_event: OnEvent,
        *,
        wait: bool = True,
    ) -> DeployedServer:
        """Return the endpoint that serves avatars as it is wanted, made or updated if need be."""
        if options.asynchronous and not wait:
            raise ConfigError(
                "an asynchronous endpoint is taken to zero machines when it runs, and somebody has "
                "to be there for that: leave --no-wait (wait=False) out."
            )
        order = compose(self._site, avatars, options)
        on_event(NoticeEvent(message=self._opening(order)))

        def ask(on_wait: Callable[[str], None]) -> DeployedServer:
            return self._server(order.endpoint, on_wait=on_wait)

        def check() -> None:
            site, base = self._site, order.avatar.config.base
            require(before_deploy(site.account, site.store.bucket, site.settings, options, base))

        created = Deployment(self._site, order, ask, check, on_event).run(wait=wait)
        return self._server(order.endpoint, found=not created)

    def find(self, name: str) -> DeployedServer:
        """Return an endpoint of ours that is there; NotFoundError if there is none."""
        return self._server(name)

    def with_avatar(self, avatar: str) -> DeployedServer | None:
        """Return an endpoint that serves and has an avatar, or None. Nothing is started.

        One that answers at once is better than an asynchronous one, whose machine has to wake.
        """
        asynchronous = None
        for name in running.names(self._site.account):
            state = describe(self._site.account, name)
            if state is None or not state.ours or state.status not in SERVING:
                continue
            contents = parts.contents(self._site.account, self._site.store.bucket, state.config)
            if contents is None or (contents.asynchronous and asynchronous is not None):
                continue
            server = DeployedServer(self._site, state, contents, self._find)
            if avatar not in server.shelf.names():
                continue
            if not contents.asynchronous:
                return server
            asynchronous = server
        return asynchronous

    def queue(self, name: str) -> Queue:
        """Return where the requests of an asynchronous endpoint lie, also when it has ended."""
        if not ENDPOINT.fullmatch(name):
            raise NotFoundError(self._unknown(name))
        return queue_of(self._site, name, describe(self._site.account, name))

    def running(self) -> list[Running]:
        """Return everything of ours that runs, the newest first."""
        return running.running(self._site, self._hourly)

    def expired(self) -> list[str]:
        """Return the endpoints whose end has come and that are there, or have left something."""
        there = [one.name for one in self.running() if running.expired(one)]
        return [*there, *orphans(self._site)]

    def take_down(self, names: Sequence[str], *, listed: bool = False) -> list[TakenDown]:
        """Take endpoints down, and what is left of those that are gone. `listed`: a list had them,
        and what has gone since is passed over; answers that nobody has fetched yet stay."""
        there = []
        for name in names:
            if describe(self._site.account, name) is not None or has_left(self._site, name):
                there.append(name)
            elif not listed:
                raise NotFoundError(self._unknown(name))
        # Each is paid for until it is asked to go, and may be gone when its turn comes.
        begun = [begin(self._site.account, name) for name in there]
        return [
            self._taken_down(name, answers=not listed, begun=asked)
            for name, asked in zip(there, begun, strict=True)
        ]

    def _taken_down(self, name: str, *, answers: bool, begun: bool) -> TakenDown:
        try:
            done = remove(
                self._site.account,
                self._site.store,
                name,
                poll_seconds=self._site.settings.poll_seconds,
                answers=answers,
                begun=begun,
            )
        except LensaError as error:
            return TakenDown(name, (), (str(error),))
        return TakenDown(name, tuple(done.removed), tuple(str(error) for error in done.failed))

    def _hourly(self, instance_type: str, component: prices.Component) -> float | None:
        key = (instance_type, component)
        if key not in self._prices:
            self._prices[key] = prices.hourly(self._site.account, instance_type, component)
        return self._prices[key]

    @cached_property
    def _prices(self) -> dict[tuple[str, str], float | None]:
        return {}

    def _unknown(self, name: str) -> str:
        return (
            f"there is no endpoint {name!r} of lensa's in {self._site.account.region} of this "
            "account (any more). lensa ps lists what runs."
        )

    def _server(
        self, name: str, *, on_wait: Callable[[str], None] | None = None, found: bool = True
    ) -> DeployedServer:
        state = self._state(name)
        contents = parts.contents(self._site.account, self._site.store.bucket, state.config)
        if contents is None:
            raise EndpointError(
                f"the endpoint {name} has lost its configuration or its model: take it down "
                f"(lensa down {name}) and deploy it again."
            )
        return DeployedServer(self._site, state, contents, self._find, on_wait=on_wait, found=found)

    def _state(self, name: str) -> EndpointState:
        state = describe(self._site.account, name)
        if state is None or not state.ours:
            raise NotFoundError(self._unknown(name))
        return state

    def _opening(self, order: Order) -> str:
        """Return what is said first: the endpoint, its price, its end, and what it cannot do."""
        options, base = order.options, order.avatar.config.base
        hourly = self._hourly(options.instance_type, "Hosting")
        price = "" if hourly is None else f" (${hourly:g} an hour)"
        lines = [
            f"endpoint {order.endpoint} on {options.instance_type}{price}, kept {_kept(options)}"
        ]
        if options.network_isolation:
            lines.append(
                "it is isolated from the network: these are its avatars, and none can be added."
            )
            if base.source == "hub":
                lines.append(
                    "what is on the hub beside the base it does not have: no expand, and of a "
                    "person safety=False."
                )
        return "\n".join(lines)


def _kept(options: DeployOptions) -> str:
    if options.lifetime is None:
        return "for ever: it costs until it is taken down"
    return f"for {options.keep}" + (" after its last use" if options.extend else "")
