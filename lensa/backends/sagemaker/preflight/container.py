"""The container's image: AWS's, where the region has it, or one in a registry of your own."""

from __future__ import annotations

import re
from typing import Any

from lensa.backends.findings import Check, Finding, failed, ok, unknown
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.images import ACCOUNTS
from lensa.backends.sagemaker.preflight.needs import Need
from lensa.backends.sagemaker.preflight.question import page, question
from lensa.errors import ConfigError

NAME = "container image"

_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/"
    r"(?P<repository>[a-z0-9._/-]+?)(?::(?P<tag>[\w.-]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


def check_image(account: Account, need: Need) -> Check:
    if need.image is None:
        return Check(NAME, lambda: _aws(account))
    image = need.image
    return question(
        NAME,
        lambda: _own(account, image),
        permission="the permission ecr:DescribeImages",
        doing=f"looking up the image {image}",
        mend=f"Your images: {page(account, 'ecr/repositories?region={region}')}",
    )


def _aws(account: Account) -> Finding:
    region = account.region
    if region in ACCOUNTS:
        return ok(NAME, f"AWS's Hugging Face container, which {region} has")
    return failed(
        NAME,
        f"AWS keeps no Hugging Face container in {region!r}.",
        "Copy one into your own registry there and name it with the option image, or work in "
        "another region (--region).",
        ConfigError,
    )


def _own(account: Account, image: str) -> Finding:
    found = _ECR.fullmatch(image)
    if found is None:
        return unknown(NAME, f"{image} is in no registry of ECR's: it is not looked up")
    if found["region"] != account.region:
        return failed(
            NAME,
            f"{image} is in {found['region']}, and you work in {account.region}: SageMaker takes "
            "images of its own region only.",
            "Push it to a registry there: "
            f"{page(account, 'ecr/repositories?region={region}')}, or use --region "
            f"{found['region']}.",
            ConfigError,
        )
    if found["account"] in ACCOUNTS.values():
        return unknown(NAME, f"{image} is AWS's own, which keeps no list for us to look in")
    client: Any = account.hasty_client("ecr", account.region)
    if found["digest"]:
        which = {"imageDigest": found["digest"]}
    else:
        which = {"imageTag": found["tag"] or "latest"}
    repositories = page(account, "ecr/repositories?region={region}")
    try:
        client.describe_images(
            registryId=found["account"], repositoryName=found["repository"], imageIds=[which]
        )
    except client.exceptions.RepositoryNotFoundException:
        return failed(
            NAME,
            f"account {found['account']} has no repository {found['repository']!r} in "
            f"{account.region}.",
            f"Make it and push the image: aws ecr create-repository --repository-name "
            f"{found['repository']} --region {account.region}\nYour repositories: {repositories}",
        )
    except client.exceptions.ImageNotFoundException:
        return failed(
            NAME,
            f"the repository {found['repository']!r} has no image {next(iter(which.values()))}.",
            f"Push it: docker push {image}\nYour repositories: {repositories}",
        )
    return ok(NAME, image)
