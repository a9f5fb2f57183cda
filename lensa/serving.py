"""What a client does with finished avatars: find them, deploy them, and take that down again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lensa.avatar import Avatar
from lensa.backends.base import LOOPBACK, Backend, Running, TakenDown
from lensa.contract.events import Event
from lensa.endpoint import Endpoint
from lensa.errors import ConfigError
from lensa.pending import PendingGallery
from lensa.telling import telling


class Serving:
    """The part of a Client that serves."""

    backend: Backend

    def avatars(self) -> list[Avatar]:
        """Return every finished avatar, the newest first."""
        done = [info.name for info in self.backend.jobs() if info.status == "completed"]
        return [Avatar(name, self.backend) for name in done]

    def avatar(self, name: str) -> Avatar:
        """Return an avatar by its id, its subject's name (the latest), or a folder that holds one.

        Raises NotFoundError if there is none.
        """
        manifest = self.backend.manifest(name)
        known = {info.name for info in self.backend.jobs()}
        return Avatar(manifest.avatar if manifest.avatar in known else name, self.backend)

    def deploy(
        self,
        *avatars: str,
        wait: bool = True,
        on_event: Callable[[Event], None] | None = None,
        **options: Any,
    ) -> Endpoint:
        """Deploy avatars together: on SageMaker as one endpoint, on this machine as one server.

        They are LoRAs on one base; full weights are deployed alone. A request says by `avatar`
        which one it means, or gets the first. See Avatar.deploy.
        """
        if not avatars:
            raise ConfigError("Say which avatar to deploy: lensa avatars lists them.")
        found = [self.avatar(name) for name in dict.fromkeys(avatars)]
        with telling(self.backend, on_event) as tell:
            server = self.backend.deploy(
                [one.id for one in found], on_event=tell, wait=wait, **options
            )
        explicit = server.shelf is not None
        return Endpoint(found[0].id, server, name=found[0].subject, explicit=explicit)

    def endpoint(self, name: str) -> Endpoint:
        """Return an endpoint on SageMaker that was deployed before, here or on another machine.

        Raises NotFoundError if there is none of that name (any more).
        """
        avatar, server = self.backend.endpoint(name)
        subject = Avatar(avatar, self.backend).subject
        return Endpoint(avatar, server, name=subject, explicit=True)

    def pending(self, endpoint: str, id: str) -> PendingGallery:
        """Return the images that `generate(wait=False)` has asked an endpoint for, also when it has
        ended since: what was drawn is there until it is fetched, for 7 days.

        Raises NotFoundError if it has no such request, or its answer was fetched before.
        """
        return PendingGallery.found(id, self.backend.queue(endpoint))

    def endpoints(self) -> list[Running]:
        """Return the endpoints of the account and region, the newest first."""
        return [one for one in self.running() if one.is_endpoint]

    def running(self) -> list[Running]:
        """Return everything of ours that runs in the account and region, the newest first:
        endpoints, training jobs, machines that are kept warm; each with its end and its price."""
        return self.backend.running()

    def down(
        self, *names: str, expired: bool = False, every: bool = False, listed: bool = False
    ) -> list[TakenDown]:
        """Take endpoints down, with all that belongs to them, and return what went.

        `expired`: those whose end has come, with what they have left. `every`: all of ours. What
        was not made by lensa is never touched. Raises NotFoundError if a name is not there, unless
        `listed`: a list had the names, and what has gone since is passed over, as it is with the
        other two. What an asynchronous one has drawn and nobody has fetched yet goes only with one
        that is named.
        """
        chosen = self.to_take_down(*names, expired=expired, every=every)
        return self.backend.take_down(chosen, listed=listed or expired or every)

    def to_take_down(self, *names: str, expired: bool = False, every: bool = False) -> list[str]:
        """Return the names of what `down` with the same arguments would take down."""
        chosen = list(names)
        if expired or every:
            chosen += self.backend.expired()
        if every:
            chosen += [one.name for one in self.endpoints()]
        return list(dict.fromkeys(chosen))

    def serve(
        self,
        *avatars: str,
        port: int | None = None,
        host: str = LOOPBACK[0],
        token: str | None = None,
        show_log: bool = False,
    ) -> Endpoint:
        """Serve avatars over HTTP on this machine and return when that is healthy: close it, or
        use it in a `with` block. A request says by `avatar` which one it means, or gets the first.

        `token`: who asks has to send it, as `Authorization: Bearer TOKEN`. `show_log` lets the
        server log to stderr. Raises ConfigError if
        there is none and `host` is reached from elsewhere, or if the avatars are not LoRAs on one
        base; NotFoundError; BusyError if the port is taken.
        """
        if not avatars:
            raise ConfigError("Say which avatar to serve: lensa avatars lists them.")
        if host not in LOOPBACK and not token:
            raise ConfigError(
                f"host = {host!r} is reached from other machines: set a token, or leave host out."
            )
        found = [self.avatar(name) for name in dict.fromkeys(avatars)]
        server = self.backend.serve(
            [one.id for one in found], port=port, host=host, token=token, show_log=show_log
        )
        return Endpoint(found[0].id, server, name=found[0].subject)
