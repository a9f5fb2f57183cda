"""Everything of hosting in one twin, as the gateway knows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lensa.testing.hosting.checks import check_config, check_model
from lensa.testing.hosting.endpoints import EndpointApi
from lensa.testing.hosting.resources import ENDPOINT_CONFIG, MODEL, ResourceApi
from lensa.testing.hosting.runtime import RuntimeApi
from lensa.testing.hosting.scaling import ScalingApi, scaling_names
from lensa.testing.schedules import SchedulerApi, schedule_names
from lensa.testing.sites import Site
from lensa.testing.tags import TagsOf


class Hosting:
    """Models, endpoint configurations, endpoints, their runtime, their scaling and their end."""

    def __init__(self, site: Site, quotas: dict[str, float], patience: Callable[[], float]) -> None:
        """`patience`: real seconds that InvokeEndpoint waits for an answer."""
        self.models = ResourceApi(
            MODEL, site.clock, lambda call: check_model(call.parameters, site.s3)
        )
        self.configs = ResourceApi(
            ENDPOINT_CONFIG,
            site.clock,
            lambda call: check_config(
                call.parameters, lambda name: self.models.find(name, call.region)
            ),
        )
        self.endpoints = EndpointApi(site, quotas, self.models, self.configs)
        self.runtime = RuntimeApi(self.endpoints, site, patience)
        self.scheduler = SchedulerApi(
            site.clock,
            {
                "DeleteEndpoint": self.endpoints.delete_as,
                "DeleteEndpointConfig": lambda call, _: self.configs.delete(call),
                "DeleteModel": lambda call, _: self.models.delete(call),
            },
        )
        self._scaling = ScalingApi(self.endpoints.find)

    def start(self) -> None:
        """Let scheduled entries come to pass."""
        self.scheduler.start()

    def close(self) -> None:
        """End every container and thread."""
        self.scheduler.close()
        self.endpoints.close()

    def resources(self) -> dict[str, list[str]]:
        """Return the names of everything that belongs to endpoints, in all regions."""
        return {
            "endpoints": sorted(one.name for one in self.endpoints.all()),
            "endpoint_configs": sorted(one.name for one in self.configs.all()),
            "models": sorted(one.name for one in self.models.all()),
            "schedules": schedule_names(),
            **scaling_names(),
        }

    def tags(self) -> list[TagsOf]:
        return [self.models.tags_of, self.configs.tags_of, self.endpoints.tags_of]

    def handlers(self) -> dict[tuple[str, str], Any]:
        """Return (service, operation) -> what answers it."""
        models, configs, endpoints = self.models, self.configs, self.endpoints
        scaling = self._scaling
        return {
            ("sagemaker", "CreateModel"): models.create,
            ("sagemaker", "DescribeModel"): models.describe,
            ("sagemaker", "ListModels"): models.list,
            ("sagemaker", "DeleteModel"): models.delete,
            ("sagemaker", "CreateEndpointConfig"): configs.create,
            ("sagemaker", "DescribeEndpointConfig"): configs.describe,
            ("sagemaker", "ListEndpointConfigs"): configs.list,
            ("sagemaker", "DeleteEndpointConfig"): configs.delete,
            ("sagemaker", "CreateEndpoint"): endpoints.create,
            ("sagemaker", "UpdateEndpoint"): endpoints.update,
            ("sagemaker", "UpdateEndpointWeightsAndCapacities"): endpoints.scale,
            ("sagemaker", "DescribeEndpoint"): endpoints.describe,
            ("sagemaker", "ListEndpoints"): endpoints.list,
            ("sagemaker", "DeleteEndpoint"): endpoints.delete,
            ("sagemaker-runtime", "InvokeEndpoint"): self.runtime.invoke,
            ("sagemaker-runtime", "InvokeEndpointAsync"): self.runtime.invoke_later,
            ("scheduler", "CreateSchedule"): self.scheduler.create,
            ("scheduler", "UpdateSchedule"): self.scheduler.update,
            ("application-autoscaling", "RegisterScalableTarget"): scaling.register,
            ("application-autoscaling", "DeregisterScalableTarget"): scaling.deregister,
            ("application-autoscaling", "PutScalingPolicy"): scaling.put_policy,
            ("application-autoscaling", "DeleteScalingPolicy"): scaling.delete_policy,
        }
