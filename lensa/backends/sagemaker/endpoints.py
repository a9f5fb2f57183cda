"""The backend's endpoints: what `Backend` asks of them, handed on to hosting/."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from lensa.backends.base import Queue, Running, Server, TakenDown
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.avatars import read_manifest
from lensa.backends.sagemaker.catalogue import Catalogue
from lensa.backends.sagemaker.hosting.host import Host
from lensa.backends.sagemaker.hosting.options import DeployOptions
from lensa.backends.sagemaker.hosting.order import Site
from lensa.backends.sagemaker.options import over
from lensa.backends.sagemaker.transfer import Store
from lensa.contract.events import Event
from lensa.errors import ConfigError, NotFoundError
from lensa.settings import Settings

OnEvent = Callable[[Event], None]


class Endpoints(ABC):
    """That half of the SageMaker backend that deploys."""

    home: Path
    account: Account
    _settings: Settings

    @property
    @abstractmethod
    def flags(self) -> str: ...

    @cached_property
    @abstractmethod
    def store(self) -> Store: ...

    @cached_property
    @abstractmethod
    def catalogue(self) -> Catalogue: ...

    @cached_property
    def host(self) -> Host:
        return Host(Site(self.account, self.store, self._settings), self.catalogue.finished)

    def serve(self, avatars: Sequence[str], **options: Any) -> Server:
        raise ConfigError(
            "lensa serve answers on this machine. On SageMaker it is lensa deploy; and from its "
            "folder (avatar.path) an avatar of SageMaker's can be served here, with the local "
            "backend."
        )

    def deploy(
        self,
        avatars: Sequence[str],
        *,
        on_event: OnEvent | None = None,
        wait: bool = True,
        **options: Any,
    ) -> Server:
        if options.pop("port", None) is not None:
            raise ConfigError("port is an option of backend='local'; AWS's endpoints have a URL.")
        wanted = over(DeployOptions, self._settings.deploy, options)
        jobs = dict.fromkeys(self.catalogue.finished(avatar) for avatar in avatars)
        manifests = [read_manifest(self.store, job) for job in jobs]
        return self.host.deploy(manifests, wanted, on_event or (lambda event: None), wait=wait)

    @contextmanager
    def at_hand(self, avatar: str) -> Iterator[Server]:
        job = self.catalogue.finished(avatar)
        server = self.host.with_avatar(job)
        if server is None:
            raise NotFoundError(
                f"no endpoint runs that has {job}. Deploy it, which costs by the hour until its "
                f"end: lensa deploy {job}{self.flags}; or draw on this machine, from the avatar's "
                f"folder (avatar.path): lensa generate {self.home / 'avatars' / job} "
                "--backend local"
            )
        yield server

    def endpoint(self, name: str) -> tuple[str, Server]:
        server = self.host.find(name)
        return server.avatar, server

    def queue(self, endpoint: str) -> Queue:
        return self.host.queue(endpoint)

    def running(self) -> list[Running]:
        return self.host.running()

    def take_down(self, names: Sequence[str], *, listed: bool = False) -> list[TakenDown]:
        return self.host.take_down(names, listed=listed)

    def expired(self) -> list[str]:
        return self.host.expired()
