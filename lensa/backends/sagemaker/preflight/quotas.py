"""How many machines of a type the account may use: for training, spot training, endpoints."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
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

NAME, WARM = "quota", "warm pool quota"
_PAGE = 100  # the most that Service Quotas puts on one
_CODES = "quota-codes.json"
_ENDING = {"train": "lensa stop JOB", "deploy": "lensa down ENDPOINT"}


@dataclass(frozen=True)
class Quota:
    code: str
    value: float


def check_quota(account: Account, home: Path, need: Need, *, in_use: bool) -> Check:
    """The machines themselves. `in_use` also counts what runs: a call for each thing that does."""

    def find() -> Finding:
        quota = _enough(account, home, need, NAME, need.quota)
        if isinstance(quota, Finding):
            return quota
        words = f"{need.quota}: {quota.value:g}"
        busy = used(account, need) if in_use else []
        if busy is None:
            return ok(NAME, f"{words} (what runs now was not counted)")
        if len(busy) + need.instances > quota.value:
            return failed(
                NAME,
                f"{len(busy)} of the {quota.value:g} of the account's quota {need.quota!r} are in "
                f"use: {', '.join(dict.fromkeys(busy))}.",
                f"Wait for one to end, or end one: {_ENDING[need.purpose]}.\n"
                + _ask(account, quota, need),
            )
        return ok(NAME, words + (f", {len(busy)} in use" if in_use else ""))

    return _question(NAME, find)


def check_warm_pool(account: Account, home: Path, need: Need) -> Check:
    """A machine that is kept for the next job has a quota of its own."""

    def find() -> Finding:
        quota = _enough(account, home, need, WARM, need.warm_quota)
        if isinstance(quota, Finding):
            return quota
        return ok(WARM, f"{need.warm_quota}: {quota.value:g}")

    return _question(WARM, find)


def _question(name: str, find: Callable[[], Finding]) -> Check:
    return question(
        name,
        find,
        permission="the permissions servicequotas:GetServiceQuota and ListServiceQuotas",
        doing="asking for a quota",
    )


def _enough(
    account: Account, home: Path, need: Need, name: str, quota_name: str
) -> Quota | Finding:
    """Return a quota, or what is wrong with it."""
    quota = find_quota(account, home, quota_name)
    if quota is None:
        return unknown(name, f"Service Quotas has none of the name {quota_name!r}")
    if quota.value >= need.instances:
        return quota
    few = (
        "0 (new accounts often have 0)"
        if quota.value < 1
        else f"{quota.value:g}, and {need.instances} are asked for"
    )
    words = f"the account's quota {quota_name!r} is {few}."
    return failed(name, words, _ask(account, quota, need))


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
    return name.endswith(("training job usage", "training warm pool usage", "endpoint usage"))


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
