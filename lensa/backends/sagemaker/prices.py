"""The price of an hour of an instance type: by AWS's price list, else by our own table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.refusals import explained
from lensa.costs import HOSTING_PRICES, PRICES_DATE, PRICES_REGION, TRAINING_PRICES
from lensa.errors import LensaError

Component = Literal["Training", "Hosting"]  # as the price list calls them

_LIST_REGION = "us-east-1"  # where the Pricing API is, whatever region it is asked about
_TABLES: dict[Component, dict[str, float]] = {
    "Training": TRAINING_PRICES,
    "Hosting": HOSTING_PRICES,
}


@dataclass(frozen=True)
class Price:
    """An hour on demand, in US dollars, and who says so."""

    dollars: float
    source: str  # in words

    def __str__(self) -> str:
        return f"${self.dollars:g} an hour, {self.source}"


def quote(account: Account, instance_type: str, component: Component = "Training") -> Price | None:
    """Return the price of an hour in the account's region; None if nobody can tell.

    Asks AWS's price list, and takes the table where that gives no answer. A price is never worth
    failing for: it raises nothing but AccountError for a region that is not configured.
    """
    region = account.region
    if (dollars := _asked(account, instance_type, component)) is not None:
        return Price(dollars, "by AWS's price list today")
    if (dollars := listed(instance_type, region, component)) is not None:
        return Price(dollars, f"by lensa's table of {PRICES_DATE} for {PRICES_REGION}")
    return None


def hourly(account: Account, instance_type: str, component: Component = "Training") -> float | None:
    """Return dollars an hour on demand, as `quote` has them; None if nobody can tell."""
    price = quote(account, instance_type, component)
    return None if price is None else price.dollars


def listed(instance_type: str, region: str, component: Component = "Training") -> float | None:
    """Return dollars an hour from the table, with no call; None if it is not in it."""
    return _TABLES[component].get(instance_type) if region == PRICES_REGION else None


def _asked(account: Account, instance_type: str, component: Component) -> float | None:
    try:
        with explained("asking for a price"):
            answer = account.hasty_client("pricing", _LIST_REGION).get_products(
                ServiceCode="AmazonSageMaker",
                Filters=[
                    {"Type": "TERM_MATCH", "Field": field, "Value": value}
                    for field, value in {
                        "productFamily": "ML Instance",
                        "component": component,
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
