"""The Price List service, for SageMaker's training and hosting instances."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from lensa.testing.account import page
from lensa.testing.answers import AwsError
from lensa.testing.operations import Call

_HOURLY = {  # dollars an hour in us-east-1
    "ml.g4dn.xlarge": 0.7364,
    "ml.g4dn.2xlarge": 0.94,
    "ml.g5.xlarge": 1.408,
    "ml.g5.2xlarge": 1.515,
    "ml.g6.2xlarge": 1.222,
    "ml.m5.large": 0.115,
}
_REGIONS = {  # region: (location, prefix of usage types, price next to us-east-1, for the twin)
    "us-east-1": ("US East (N. Virginia)", "USE1", 1.0),
    "us-west-2": ("US West (Oregon)", "USW2", 1.0),
    "eu-west-1": ("EU (Ireland)", "EU", 1.12),
}
_COMPONENTS = {"Training": "Train", "Hosting": "Host"}
_TERM, _RATE = "JRTCKXETXF", "6YS6EN2CT7"  # on demand, by the hour: the same in every price list


def default_prices() -> dict[tuple[str, str], float]:
    """Return (region, instance type) -> dollars an hour. Outside us-east-1 they are made up."""
    return {
        (region, instance): round(dollars * factor, 4)
        for region, (_, _, factor) in _REGIONS.items()
        for instance, dollars in _HOURLY.items()
    }


class PricingApi:
    def __init__(self, prices: dict[tuple[str, str], float]) -> None:
        self._prices = prices

    def get_products(self, call: Call) -> dict[str, Any]:
        asked = call.parameters
        if asked["ServiceCode"] != "AmazonSageMaker":
            raise AwsError("NotFoundException", "The twin knows the prices of AmazonSageMaker only")
        wanted = {one["Field"]: one["Value"] for one in asked.get("Filters", [])}
        products = [
            _product(region, instance, component, dollars)
            for (region, instance), dollars in sorted(self._prices.items())
            for component in _COMPONENTS
        ]
        found = [
            json.dumps(product)
            for product in products
            if all(_field(product, name) == value for name, value in wanted.items())
        ]
        return {"FormatVersion": "aws_v1", **page(found, asked, "PriceList", 100)}


def _field(product: dict[str, Any], name: str) -> object:
    if name == "ServiceCode":
        return product["serviceCode"]
    if name in {"productFamily", "sku"}:
        return product["product"][name]
    return product["product"]["attributes"].get(name)


def _product(region: str, instance: str, component: str, dollars: float) -> dict[str, Any]:
    location, prefix, _ = _REGIONS.get(region, (region, region.upper(), 1.0))
    usage = f"{prefix}-{_COMPONENTS[component]}:{instance}"
    sku = hashlib.sha256(usage.encode()).hexdigest()[:16].upper()
    rate = f"{sku}.{_TERM}.{_RATE}"
    dimension = {
        "unit": "Hrs",
        "endRange": "Inf",
        "description": f"${dollars:g} per {component} {instance} hour in {location}",
        "appliesTo": [],
        "rateCode": rate,
        "beginRange": "0",
        "pricePerUnit": {"USD": f"{dollars:.10f}"},
    }
    offer = {
        "priceDimensions": {rate: dimension},
        "sku": sku,
        "effectiveDate": "2026-01-01T00:00:00Z",
        "offerTermCode": _TERM,
        "termAttributes": {},
    }
    attributes = {
        "component": component,
        "instanceName": instance,
        "instanceType": f"{instance}-{component}",
        "location": location,
        "locationType": "AWS Region",
        "operation": "RunInstance",
        "platoinstancename": instance.removeprefix("ml.").partition(".")[0],
        "platoinstancetype": component,
        "regionCode": region,
        "servicecode": "AmazonSageMaker",
        "servicename": "Amazon SageMaker",
        "usagetype": usage,
    }
    return {
        "product": {"productFamily": "ML Instance", "attributes": attributes, "sku": sku},
        "serviceCode": "AmazonSageMaker",
        "terms": {"OnDemand": {f"{sku}.{_TERM}": offer}},
        "version": "20260101000000",
        "publicationDate": "2026-01-01T00:00:00Z",
    }
