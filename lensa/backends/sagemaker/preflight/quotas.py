"""How many machines of a type the account may use: for training, spot training, endpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lensa.backends.disk import make_folder, write_whole
from lensa.backends.findings import Check, Finding, failed, ok, unknown
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.preflight.needs import Need
from lensa.backends.sagemaker.preflight.question import page, question
from lensa.backends.sagemaker.preflight.usage import used
from lensa.errors import StorageError

NAME = "quota"
_PAGE = 100  # the most that Service Quotas puts on one
_CODES = "quota-codes.json"


@dataclass(frozen=True)
class Quota:
    code: str
    value: float


def check_quota(account: Account, home: Path, need: Need, *, in_use: bool) -> Check:
    """`in_use` also counts what runs now: a call for each thing that runs."""

    def find() -> Finding:
        quota = find_quota(account, home, need.quota)
        if quota is None:
            return unknown(NAME, f"Service Quotas has none of the name {need.quota!r}")
        words = f"{need.quota}: {quota.value:g}"
        if quota.value < need.instances:
            few = (
                "0 (new accounts often have 0)"
                if quota.value < 1
                else f"{quota.value:g}, and {need.instances} are asked for"
            )
            return failed(
                NAME, f"the account's quota {need.quota!r} is {few}.", _ask(account, quota, need)
            )
        busy = used(account, need, quota.value) if in_use else []
        if busy is None:
            return ok(NAME, f"{words} (what runs now was not counted)")
        if len(busy) + need.instances > quota.value:
            return failed(
                NAME,
                f"all {quota.value:g} of the account's quota {need.quota!r} are in use: "
                f"{', '.join(dict.fromkeys(busy))}.",
                f"Wait for one to end, or end one: {_ENDING[need.purpose]}.\n"
                + _ask(account, quota, need),
            )
        return ok(NAME, words + (f", {len(busy)} in use" if in_use else ""))

    return question(
        NAME,
        find,
        permission="the permissions servicequotas:GetServiceQuota and ListServiceQuotas",
        doing="asking for the quota",
    )


_ENDING = {"train": "lensa stop JOB", "deploy": "lensa down ENDPOINT"}


def find_quota(account: Account, home: Path, name: str) -> Quota | None:
    """Return a quota of SageMaker's; None if there is none of that name.

    It is asked for by a code that follows no rule, and to list all quotas takes seconds. So codes
    are kept in `home`: they are the same in every account and region.
    """
    client = account.hasty_client("service-quotas", account.region)
    file = home / _CODES
    codes = _remembered(file)
    if (code := codes.get(name)) is not None:
        try:
            found = client.get_service_quota(ServiceCode="sagemaker", QuotaCode=code)["Quota"]
        except client.exceptions.NoSuchResourceException:
            found = {}
        if found.get("QuotaName") == name:
            return Quota(code, found["Value"])
    for quotas in _pages(client):
        codes |= {one["QuotaName"]: one["QuotaCode"] for one in quotas if _ours(one["QuotaName"])}
        for one in quotas:
            if one["QuotaName"] == name:
                _remember(file, codes)
                return Quota(one["QuotaCode"], one["Value"])
    return None


def _pages(client: Any) -> Iterator[list[dict[str, Any]]]:
    pages = client.get_paginator("list_service_quotas").paginate(
        ServiceCode="sagemaker", PaginationConfig={"PageSize": _PAGE}
    )
    for one in pages:
        yield one["Quotas"]


def _ours(name: str) -> bool:
    return name.endswith(("training job usage", "endpoint usage"))


def _remembered(file: Path) -> dict[str, str]:
    try:
        known = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _remember(file: Path, codes: dict[str, str]) -> None:
    try:
        make_folder(file.parent)
        write_whole(file, json.dumps(codes, sort_keys=True).encode())
    except StorageError:
        pass  # then it is listed again


def _ask(account: Account, quota: Quota, need: Need) -> str:
    url = page(account, f"servicequotas/home/services/sagemaker/quotas/{quota.code}")
    wanted = max(int(quota.value) + 1, need.instances)
    return (
        f"Ask for more: {url}\n"
        "or: aws service-quotas request-service-quota-increase --service-code sagemaker "
        f"--quota-code {quota.code} --desired-value {wanted} --region {account.region}\n"
        "Until it is granted, another instance type may have a quota (--instance-type)."
    )
