"""The price of an hour of an instance type: the table for us-east-1, else AWS's price list."""

from __future__ import annotations

import json
from typing import Any

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.refusals import explained
from lensa.costs import TRAINING_PRICES
from lensa.errors import LensaError

_LIST_REGION = "us-east-1"  # where the Pricing API is


def listed(instance_type: str, region: str) -> float | None:
    """Return dollars an hour from the table, with no call; None if it is not in it."""
    return TRAINING_PRICES.get(instance_type) if region == _LIST_REGION else None


def hourly(account: Account, instance_type: str) -> float | None:
    """Return dollars an hour of training on demand; None if nobody can tell.

    A price is never worth failing for: without the permission pricing:GetProducts it is unknown.
    """
    if (known := listed(instance_type, account.region)) is not None:
        return known
    try:
        with explained("asking for a price"):
            answer = account.hasty_client("pricing", _LIST_REGION).get_products(
                ServiceCode="AmazonSageMaker",
                Filters=[
                    {"Type": "TERM_MATCH", "Field": field, "Value": value}
                    for field, value in {
                        "productFamily": "ML Instance",
                        "component": "Training",
                        "regionCode": account.region,
                        "instanceName": instance_type,
                    }.items()
                ],
            )
    except LensaError:
        return None
    found = [_on_demand(json.loads(product)) for product in answer["PriceList"]]
    return next((dollars for dollars in found if dollars), None)


def _on_demand(product: dict[str, Any]) -> float | None:
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term.get("priceDimensions", {}).values():
            if dimension.get("unit") in {"Hrs", "Hours", "hours"}:
                return float(dimension["pricePerUnit"]["USD"])
    return None
