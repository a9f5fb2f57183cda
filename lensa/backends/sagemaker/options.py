"""How a training runs on SageMaker, beside what it trains. Of all this only an
instance type with 16 GB changes the job's name: it changes the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Protocol, TypeVar

from pydantic import Field

from lensa.backends.sagemaker.tags import check_tags
from lensa.contract._model import Contract

SecretArn = Annotated[
    str, Field(pattern=r"^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:.+$")
]

_SECRETS = ("wandb_secret", "hub_secret")

MAX_HOURS = 28 * 24  # the most that SageMaker allows; an account's quota may be less


class SagemakerOptions(Contract):
    """Options of one SageMaker training job. Prices in US dollars, times as their names say."""

    title: ClassVar[str] = "sagemaker"

    # the machine
    instance_type: Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$")] = "ml.g5.2xlarge"
    image: str | None = None  # a container image of your own
    volume_gb: Annotated[int, Field(ge=10, le=16_384)] = 50
    warm_pool_minutes: Annotated[int, Field(ge=0, le=60)] = 0  # kept for the next job, and paid for

    # its end
    max_hours: Annotated[float, Field(gt=0, le=MAX_HOURS)] = 4.0
    budget: Annotated[float, Field(gt=0, le=10_000)] | None = None  # dollars
    spot: bool = False
    max_wait_hours: Annotated[float, Field(ge=0, le=MAX_HOURS)] = 12.0  # for spot capacity, in all

    # what it can reach
    subnets: Annotated[tuple[str, ...], Field(max_length=16)] = ()
    security_groups: Annotated[tuple[str, ...], Field(max_length=5)] = ()
    network_isolation: bool = False
    wandb_secret: SecretArn | None = None
    hub_secret: SecretArn | None = None

    # what is kept
    create_bucket: bool = False
    photo_days: Annotated[int, Field(ge=1, le=3650)] = 30  # then the bucket forgets the photos
    tags: Annotated[dict[str, str], Field(max_length=40)] = Field(default_factory=dict)

    def check(self) -> None:
        if self.spot and self.warm_pool_minutes:
            raise ValueError(
                "warm_pool_minutes is set and spot is on: SageMaker keeps no spot instance warm. "
                "Choose one of them."
            )
        if self.budget is not None and self.warm_pool_minutes:
            raise ValueError(
                "warm_pool_minutes is set beside a budget: a machine that is kept warm is paid for "
                "after the job. Choose one of them."
            )
        if len((self.wandb_secret or "") + (self.hub_secret or "")) > 460:
            raise ValueError("the ARNs of the secrets are too long together: give shorter names.")
        if bool(self.subnets) != bool(self.security_groups):
            raise ValueError("subnets and security_groups go together: set both, or neither.")
        secrets = [name for name in _SECRETS if getattr(self, name)]
        if self.network_isolation and secrets:
            raise ValueError(
                f"{secrets[0]} is set and network_isolation is on: an isolated container reaches "
                "nothing, not even its secrets. Leave one of them out (W&B then logs offline)."
            )
        check_tags(self.tags)


class _Isolable(Protocol):
    @property
    def network_isolation(self) -> bool: ...


Options = TypeVar("Options", bound=_Isolable)


def over(kind: type[Options], defaults: Mapping[str, Any], given: Mapping[str, Any]) -> Options:
    """Return options: what is given, and for the rest the defaults of the settings.

    A secret that is only a default, as `lensa setup` writes it, is left out in isolation, where
    nothing could read it. Raises ConfigError.
    """
    forgone = {name for name in _SECRETS if name in defaults and name not in given}
    if forgone:
        rest = {name: value for name, value in defaults.items() if name not in forgone}
        isolated = kind(**{**rest, **given})
        if isolated.network_isolation:
            return isolated
    return kind(**{**defaults, **given})
