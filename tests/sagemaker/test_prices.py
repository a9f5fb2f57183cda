"""The price of an hour: from the table, else from AWS's price list."""

from __future__ import annotations

import pytest

from lensa.backends.sagemaker import prices
from lensa.backends.sagemaker.account import Account
from lensa.costs import TRAINING_PRICES
from lensa.testing import SagemakerTwin


def test_the_table_needs_no_call(sagemaker_twin: SagemakerTwin) -> None:
    account = Account(region="us-east-1")
    assert prices.hourly(account, "ml.g5.2xlarge") == TRAINING_PRICES["ml.g5.2xlarge"]
    assert not sagemaker_twin.calls


def test_other_regions_are_asked_of_aws(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker_twin.prices["eu-west-1", "ml.g5.2xlarge"] = 1.69
    assert prices.hourly(Account(region="eu-west-1"), "ml.g5.2xlarge") == pytest.approx(1.69)


def test_a_price_that_nobody_tells_is_unknown(sagemaker_twin: SagemakerTwin) -> None:
    account = Account(region="eu-west-1")
    assert prices.hourly(account, "ml.g99.huge") is None
    sagemaker_twin.faults.fail("GetProducts", "AccessDeniedException", "not you")
    assert prices.hourly(account, "ml.g5.2xlarge") is None
