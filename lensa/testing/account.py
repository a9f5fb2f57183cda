"""What an account may use: the service quotas of SageMaker."""

from __future__ import annotations

import hashlib
from typing import Any

from lensa.testing.answers import AwsError
from lensa.testing.models import service_model
from lensa.testing.operations import Call

ACCOUNT = "123456789012"  # moto's account

_GRANTED = 4.0  # instances of each type, until a test says otherwise
_PAGE = 100


def default_quotas() -> dict[str, float]:
    """Return quota name -> value: every instance type for training, spot training and endpoints."""
    model = service_model("sagemaker")
    training = model.shape_for("TrainingInstanceType").enum
    hosting = model.shape_for("ProductionVariantInstanceType").enum
    names = [f"{kind} for {use} usage" for kind in training for use in _TRAINING_USES]
    names += [endpoint_quota(kind) for kind in hosting]
    return dict.fromkeys(names, _GRANTED)


_TRAINING_USES = ("training job", "spot training job")


def training_quota(instance_type: str, spot: bool) -> str:
    """Return the name of the quota that a training job counts against."""
    return f"{instance_type} for {_TRAINING_USES[spot]} usage"


def endpoint_quota(instance_type: str) -> str:
    """Return the name of the quota that the instances of endpoints count against."""
    return f"{instance_type} for endpoint usage"


def quota_exceeded(name: str, limit: float, used: int, asked: int) -> AwsError:
    return AwsError(
        "ResourceLimitExceeded",
        f"The account-level service limit '{name}' is {limit:g} Instances, with current "
        f"utilization of {used} Instances and a request delta of {asked} Instances. Please use "
        "AWS Service Quotas to request an increase for this quota. If AWS Service Quotas is not "
        "available, contact AWS support to request an increase for this quota.",
    )


class QuotaApi:
    """Service Quotas for SageMaker; those of other services are moto's."""

    def __init__(self, quotas: dict[str, float]) -> None:
        self._quotas = quotas

    def list(self, call: Call) -> dict[str, Any] | None:
        if call.parameters["ServiceCode"] != "sagemaker":
            return None
        code = call.parameters.get("QuotaCode")
        quotas = [
            self._quota(name, call.region)
            for name in sorted(self._quotas)
            if code in {None, _code(name)}
        ]
        return page(quotas, call.parameters, "Quotas", _PAGE)

    def get(self, call: Call) -> dict[str, Any] | None:
        if call.parameters["ServiceCode"] != "sagemaker":
            return None
        for name in self._quotas:
            if _code(name) == call.parameters["QuotaCode"]:
                return {"Quota": self._quota(name, call.region)}
        raise AwsError("NoSuchResourceException", "The specified quota does not exist.")

    def _quota(self, name: str, region: str) -> dict[str, Any]:
        code = _code(name)
        return {
            "ServiceCode": "sagemaker",
            "ServiceName": "Amazon SageMaker",
            "QuotaArn": f"arn:aws:servicequotas:{region}:{ACCOUNT}:sagemaker/{code}",
            "QuotaCode": code,
            "QuotaName": name,
            "Value": float(self._quotas[name]),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
            "QuotaAppliedAtLevel": "ACCOUNT",
        }


def _code(name: str) -> str:
    # AWS's codes follow no rule. These have their form, and are the same in every twin.
    return "L-" + hashlib.sha256(name.encode()).hexdigest()[:8].upper()


def page(items: list[Any], parameters: dict[str, Any], key: str, size: int) -> dict[str, Any]:
    """Cut the page that a list request asks for. Its token is the place of the next item."""
    token = parameters.get("NextToken") or "0"
    if not token.isdecimal():
        raise AwsError("ValidationException", "The NextToken is not valid.")
    start = int(token)
    end = start + int(parameters.get("MaxResults") or size)
    rest = {"NextToken": str(end)} if end < len(items) else {}
    return {key: items[start:end], **rest}
