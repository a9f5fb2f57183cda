"""What a training or an endpoint will ask of an account, in one form for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lensa.backends.sagemaker.hosting.options import DeployOptions
from lensa.backends.sagemaker.options import SagemakerOptions
from lensa.contract import BaseModelRef, VaeRef
from lensa.settings import Settings

Purpose = Literal["train", "deploy"]


@dataclass(frozen=True)
class Need:
    purpose: Purpose
    instance_type: str
    instances: int = 1
    spot: bool = False
    warm: bool = False  # it is kept for the next job
    image: str | None = None  # None: AWS's own
    base: BaseModelRef | None = None  # None: not to be looked at
    vae: VaeRef | None = None  # beside the base; None: the base's own, or not to be looked at
    isolated: bool = False  # the container reaches nothing
    hub_token: bool = False  # the container gets one, from a secret
    secrets: tuple[str, ...] = ()  # ARNs of all that it reads
    subnets: tuple[str, ...] = ()
    role: str | None = None
    scheduler_role: str | None = None
    scheduled: bool = False  # it gets an end from EventBridge Scheduler
    create_bucket: bool = False

    @property
    def quota(self) -> str:
        """The name of the quota that it counts against, as Service Quotas has it."""
        if self.purpose == "deploy":
            return f"{self.instance_type} for endpoint usage"
        return f"{self.instance_type} for {'spot ' if self.spot else ''}training job usage"

    @property
    def warm_quota(self) -> str:
        return f"{self.instance_type} for training warm pool usage"


def of_training(
    settings: Settings,
    options: SagemakerOptions,
    base: BaseModelRef | None = None,
    vae: VaeRef | None = None,
) -> Need:
    return Need(
        purpose="train",
        instance_type=options.instance_type,
        spot=options.spot,
        warm=options.warm_pool_minutes > 0,
        image=options.image,
        base=base,
        vae=vae,
        isolated=options.network_isolation,
        hub_token=options.hub_secret is not None,
        secrets=tuple(filter(None, (options.hub_secret, options.wandb_secret))),
        subnets=options.subnets,
        role=settings.role,
        create_bucket=options.create_bucket,
    )


def of_hosting(
    settings: Settings, options: DeployOptions, base: BaseModelRef | None = None
) -> Need:
    return Need(
        purpose="deploy",
        instance_type=options.instance_type,
        instances=max(1, options.max_instances),
        image=options.image,
        base=base,
        isolated=options.network_isolation,
        hub_token=options.hub_secret is not None,
        secrets=tuple(filter(None, (options.hub_secret,))),
        subnets=options.subnets,
        role=settings.role,
        scheduler_role=settings.scheduler_role,
        scheduled=options.lifetime is not None,
    )
