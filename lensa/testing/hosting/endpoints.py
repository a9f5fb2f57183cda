"""SageMaker's operations on endpoints, as AWS answers them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lensa.testing.account import endpoint_quota, quota_exceeded
from lensa.testing.answers import AwsError
from lensa.testing.hosting.backlog import Backlog
from lensa.testing.hosting.endpoint import TwinEndpoint
from lensa.testing.hosting.keeper import Keeper
from lensa.testing.hosting.resources import ENDPOINT, Resource, ResourceApi, listed, tags_in
from lensa.testing.hosting.scaling import forget, resource_of, target_arn
from lensa.testing.operations import Call
from lensa.testing.roles import denied
from lensa.testing.sites import Site


class EndpointApi:
    """Every endpoint of one twin."""

    def __init__(
        self, site: Site, quotas: dict[str, float], models: ResourceApi, configs: ResourceApi
    ) -> None:
        self._site, self._quotas = site, quotas
        self._models, self._configs = models, configs
        self._keepers: dict[tuple[str, str], Keeper] = {}  # (region, name)
        self._lock = threading.RLock()

    def all(self) -> list[TwinEndpoint]:
        with self._lock:
            return [keeper.endpoint for keeper in self._keepers.values()]

    def close(self) -> None:
        with self._lock:
            keepers, self._keepers = list(self._keepers.values()), {}
        for keeper in keepers:
            keeper.endpoint.closing = True
        for keeper in keepers:
            keeper.close()

    # --- the API ---

    def create(self, call: Call) -> dict[str, Any]:
        name, region = call.parameters["EndpointName"], call.region
        config = self._config(call.parameters["EndpointConfigName"], region)
        with self._lock:
            if (region, name) in self._keepers:
                raise ENDPOINT.taken(name, region)
            self._check_quota(config)
            tags = tags_in(call.parameters)
            endpoint = TwinEndpoint(name, region, config, tags, self._site.clock)
            keeper = Keeper(endpoint, self._site, self._models.find, lambda: self._forget(endpoint))
            self._keepers[region, name] = keeper
        keeper.start()
        return {"EndpointArn": endpoint.arn}

    def backlog(self, endpoint: TwinEndpoint) -> Backlog:
        """Return the queue of an endpoint."""
        return self._keeper(endpoint.name, endpoint.region).backlog

    def update(self, call: Call) -> dict[str, Any]:
        with self._lock, self._changing(call) as endpoint:
            if endpoint.status == "Failed":
                raise _refused(f'Cannot update failed endpoint "{endpoint.arn}".')
            config = self._config(call.parameters["EndpointConfigName"], call.region)
            self._configs.find(endpoint.config.name, call.region)  # AWS needs the old one as well
            _check_scaling(endpoint, config)
            self._check_quota(config)
            endpoint.pending = config
            endpoint.enter("Updating")
        endpoint.wake.set()
        return {"EndpointArn": endpoint.arn}

    def scale(self, call: Call) -> dict[str, Any]:
        """UpdateEndpointWeightsAndCapacities: only the number of instances, one variant."""
        with self._changing(call) as endpoint:
            for asked in call.parameters["DesiredWeightsAndCapacities"]:
                if asked["VariantName"] != endpoint.variant["VariantName"]:
                    raise _refused(f"Could not find variant {asked['VariantName']}.")
                count = asked.get("DesiredInstanceCount", endpoint.desired)
                if not count and not endpoint.asynchronous:
                    raise _refused(
                        "DesiredInstanceCount of a real-time endpoint must be 1 or more."
                    )
                endpoint.scale_to(count)
        endpoint.wake.set()
        return {"EndpointArn": endpoint.arn}

    def describe(self, call: Call) -> dict[str, Any]:
        return self.find(call.parameters["EndpointName"], call.region).describe()

    def list(self, call: Call) -> dict[str, Any]:
        asked = call.parameters
        here = [
            one
            for one in self.all()
            if one.region == call.region
            and asked.get("StatusEquals", one.status) == one.status
            and asked.get("LastModifiedTimeAfter", float("-inf")) <= one.modified.timestamp()
            and asked.get("LastModifiedTimeBefore", float("inf")) >= one.modified.timestamp()
        ]
        return listed(here, asked, "Endpoints", {"Status": lambda one: (one.status, one.name)})

    def delete(self, call: Call) -> dict[str, Any]:
        with self._changing(call) as endpoint:
            endpoint.enter("Deleting")
            # Alone among what belongs to an endpoint, its scalable target goes with it.
            forget(_scaled(endpoint), endpoint.region)
            endpoint.deleting = True
        endpoint.wake.set()
        return {}

    def delete_as(self, call: Call, role: str) -> dict[str, Any]:
        """DeleteEndpoint with a role. Raises AwsError if it may not, target and all."""
        endpoint = self.find(call.parameters["EndpointName"], call.region)
        problem = denied(role, "sagemaker:DeleteEndpoint", endpoint.arn)
        if target := target_arn(_scaled(endpoint), endpoint.region):
            action = "application-autoscaling:DeregisterScalableTarget"
            problem = problem or denied(role, action, target)
        if problem:
            raise AwsError("AccessDeniedException", problem)
        return self.delete(call)

    def tags_of(self, arn: str) -> dict[str, str] | None:
        """Return the tags of an endpoint, to be read or changed; None if there is no such one."""
        return next((one.tags for one in self.all() if one.arn == arn), None)

    # --- which endpoint ---

    def find(self, name: str, region: str) -> TwinEndpoint:
        """Return it, or raise AwsError."""
        return self._keeper(name, region).endpoint

    def _keeper(self, name: str, region: str) -> Keeper:
        with self._lock:
            keeper = self._keepers.get((region, name))
        if keeper is None:
            raise ENDPOINT.unknown(name, region)
        return keeper

    @contextmanager
    def _changing(self, call: Call) -> Iterator[TwinEndpoint]:
        """Yield an endpoint that can be changed, and let nobody else change it meanwhile."""
        endpoint = self.find(call.parameters["EndpointName"], call.region)
        with endpoint.lock:
            if endpoint.status in {"Creating", "Updating", "Deleting"}:
                raise _refused(f'Cannot update in-progress endpoint "{endpoint.arn}".')
            yield endpoint

    def _config(self, name: str, region: str) -> Resource:
        config = self._configs.find(name, region)
        self._models.find(config.request["ProductionVariants"][0]["ModelName"], region)
        return config

    def _check_quota(self, config: Resource) -> None:
        variant = config.request["ProductionVariants"][0]
        instance, asked = variant["InstanceType"], variant["InitialInstanceCount"]
        used = sum(
            count
            for keeper in self._keepers.values()
            for kind, count in _instances(keeper.endpoint)
            if kind == instance
        )
        quota = endpoint_quota(instance)
        limit = self._quotas.get(quota, 0.0)
        if used + asked > limit:
            raise quota_exceeded(quota, limit, used, asked)

    def _forget(self, endpoint: TwinEndpoint) -> None:
        with self._lock:
            self._keepers.pop((endpoint.region, endpoint.name), None)


def _instances(endpoint: TwinEndpoint) -> list[tuple[str, int]]:
    """Return what an endpoint holds: (instance type, number), the pending ones as well."""
    held = [(endpoint.variant["InstanceType"], endpoint.desired)]
    if endpoint.pending is not None:
        variant = endpoint.pending.request["ProductionVariants"][0]
        held.append((variant["InstanceType"], variant["InitialInstanceCount"]))
    return held


def _scaled(endpoint: TwinEndpoint) -> str:
    """Return the name of an endpoint's variant as a resource that scales."""
    return resource_of(endpoint.name, endpoint.variant["VariantName"])


def _check_scaling(endpoint: TwinEndpoint, config: Resource) -> None:
    new = config.request["ProductionVariants"][0]
    same = all(new[name] == endpoint.variant[name] for name in ("VariantName", "InstanceType"))
    if not same and target_arn(_scaled(endpoint), endpoint.region):
        raise _refused(
            f'The variant(s) "["{endpoint.variant["VariantName"]}"]" must be deregistered as '
            "scalable target(s) with AWS Auto Scaling before they can be removed or have their "
            "instance type updated."
        )


def _refused(message: str) -> AwsError:
    return AwsError("ValidationException", message)
