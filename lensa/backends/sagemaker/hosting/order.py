"""A deployment, composed: the model folder, the two requests, and what they need in the bucket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lensa.backends.bundle import serving_code
from lensa.backends.sagemaker import keys
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.hosting.composing import Served
from lensa.backends.sagemaker.hosting.options import DeployOptions
from lensa.backends.sagemaker.hosting.request import Inputs, config_request, model_request
from lensa.backends.sagemaker.hosting.supplying import BaseSupply, base_supply
from lensa.backends.sagemaker.images import inference_image
from lensa.backends.sagemaker.transfer import Store
from lensa.backends.together import check_together
from lensa.contract import AvatarManifest
from lensa.settings import Settings


@dataclass(frozen=True)
class Site:
    """Where endpoints are: an account, and its bucket."""

    account: Account
    store: Store
    settings: Settings

    @property
    def role(self) -> str:
        """That the container has."""
        return self.account.role(self.settings.role)

    @property
    def scheduler_role(self) -> str:
        """That the end is carried out with."""
        return self.account.role(self.settings.scheduler_role or self.settings.role)

    @property
    def home(self) -> Path:
        return self.settings.home_path


@dataclass(frozen=True)
class Order:
    """One endpoint as it is wanted, ready to be made."""

    endpoint: str
    options: DeployOptions
    served: Served
    base: BaseSupply
    model: dict[str, Any]  # parameters of CreateModel
    config: dict[str, Any]  # parameters of CreateEndpointConfig

    @property
    def avatar(self) -> AvatarManifest:
        """The one that a request gets which names none."""
        return self.served.avatars[0]


def compose(site: Site, avatars: Sequence[AvatarManifest], options: DeployOptions) -> Order:
    """Put everything together; nothing is made or uploaded.

    Raises ConfigError, BaseModelError and AccountError for what does not fit or is not there.
    """
    check_together(avatars)
    base = base_supply(site.store, avatars[0], options)
    # What may reach no package index gets its packages with the code.
    wheels = options.network_isolation or bool(options.subnets)
    code = serving_code(site.home / "wheelhouses" if wheels else None)
    name = options.endpoint(
        keys.subject_of(avatars[0].avatar), [avatar.avatar for avatar in avatars]
    )
    served = Served(name, code, tuple(avatars))
    inputs = Inputs(
        endpoint=name,
        model=served.key,
        base=base.key,
        image=options.image or inference_image(site.account.region),
        role=site.role,
        uri=site.store.bucket.uri,
        kms_key=site.store.bucket.kms_key,
    )
    model = model_request(inputs, options)
    config = config_request(inputs, options, model["ModelName"])
    return Order(name, options, served, base, model, config)
