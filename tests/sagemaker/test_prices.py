"""The price of an hour: by AWS's price list, else from the table."""

from __future__ import annotations

import pytest

from lensa.backends.sagemaker import prices
from lensa.backends.sagemaker.account import Account
from lensa.costs import HOSTING_PRICES, PRICES_DATE, TRAINING_PRICES
from lensa.testing import SagemakerTwin


@pytest.mark.parametrize("component", ["Training", "Hosting"])
def test_awss_price_list_is_asked_for_the_region(
    sagemaker_twin: SagemakerTwin, component: prices.Component
) -> None:
    sagemaker_twin.prices["eu-west-1", "ml.g5.2xlarge"] = 1.69
    found = prices.quote(Account(region="eu-west-1"), "ml.g5.2xlarge", component)
    assert found is not None and found.dollars == pytest.approx(1.69)
    assert str(found) == "$1.69 an hour, by AWS's price list today"
    (asked,) = sagemaker_twin.called("GetProducts")
    assert {one["Field"]: one["Value"] for one in asked["Filters"]}["component"] == component


def test_the_list_is_newer_than_the_table(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker_twin.prices["us-east-1", "ml.g5.2xlarge"] = 1.6
    assert prices.hourly(Account(region="us-east-1"), "ml.g5.2xlarge") == pytest.approx(1.6)


def test_where_the_list_may_not_be_asked_the_table_tells_and_says_how_old_it_is(
    sagemaker_twin: SagemakerTwin,
) -> None:
    sagemaker_twin.faults.fail("GetProducts", "AccessDeniedException", "not you", times=None)
    account = Account(region="us-east-1")
    trained = prices.quote(account, "ml.g5.2xlarge")
    served = prices.quote(account, "ml.g5.xlarge", "Hosting")
    assert trained is not None and trained.dollars == TRAINING_PRICES["ml.g5.2xlarge"]
    assert served is not None and served.dollars == HOSTING_PRICES["ml.g5.xlarge"]
    assert PRICES_DATE in trained.source and "table" in trained.source


def test_the_table_alone_needs_no_call(sagemaker_twin: SagemakerTwin) -> None:
    assert prices.listed("ml.g5.xlarge", "us-east-1", "Hosting") == HOSTING_PRICES["ml.g5.xlarge"]
    assert prices.listed("ml.g5.xlarge", "eu-west-1", "Hosting") is None
    assert not sagemaker_twin.calls


def test_a_price_that_nobody_tells_is_unknown(sagemaker_twin: SagemakerTwin) -> None:
    account = Account(region="eu-west-1")
    assert prices.hourly(account, "ml.g99.huge") is None
    sagemaker_twin.faults.fail("GetProducts", "AccessDeniedException", "not you")
    assert prices.hourly(account, "ml.g5.2xlarge") is None
