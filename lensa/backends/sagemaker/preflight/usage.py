"""What of a quota is in use now."""

from __future__ import annotations

from typing import Any

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.preflight.needs import Need

_MOST = 25  # things that run, each of which takes a call or two


def used(account: Account, need: Need) -> list[str] | None:
    """Return the name of what runs once for each instance that counts against the need's quota.

    None if so much runs that asking would take too long, or if nobody may ask.
    """
    from botocore.exceptions import ClientError

    client = account.hasty_client("sagemaker", account.region)
    try:
        if need.purpose == "train":
            return _training(client, need)
        return _hosting(client, need)
    except ClientError:
        return None  # a quota that is there is worth telling without it


def _training(client: Any, need: Need) -> list[str] | None:
    answer = client.list_training_jobs(StatusEquals="InProgress", MaxResults=_MOST)
    if answer.get("NextToken"):
        return None
    found: list[str] = []
    for summary in answer["TrainingJobSummaries"]:
        name = summary["TrainingJobName"]
        job = client.describe_training_job(TrainingJobName=name)
        machine = job["ResourceConfig"]
        same = machine.get("InstanceType") == need.instance_type
        if same and job.get("EnableManagedSpotTraining", False) == need.spot:
            found += [name] * machine.get("InstanceCount", 1)
    return found


def _hosting(client: Any, need: Need) -> list[str] | None:
    answer = client.list_endpoints(MaxResults=_MOST)
    if answer.get("NextToken"):
        return None
    found: list[str] = []
    for summary in answer["Endpoints"]:
        name = summary["EndpointName"]
        endpoint = client.describe_endpoint(EndpointName=name)
        config = client.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
        counts = {
            variant["VariantName"]: variant.get("CurrentInstanceCount", 0)
            for variant in endpoint.get("ProductionVariants", ())
        }
        for variant in config["ProductionVariants"]:
            if variant.get("InstanceType") == need.instance_type:
                initial = variant.get("InitialInstanceCount", 1)
                found += [name] * counts.get(variant["VariantName"], initial)
    return found
