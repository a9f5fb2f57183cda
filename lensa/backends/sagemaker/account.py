"""An AWS account in one region: who we are there, and the clients that talk to it."""

from __future__ import annotations

import os
import re
import threading
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from lensa import __version__
from lensa.backends.sagemaker.patience import be_patient
from lensa.backends.sagemaker.refusals import explained
from lensa.errors import AccountError

_NAME_A_ROLE = (
    "Name one that SageMaker may assume (a name or an ARN): --role, or LENSA_ROLE. `lensa setup` "
    "makes such a role, if you may, or whoever administers the account."
)
_RUNTIME = "sagemaker-runtime"
_ROLE_ARN = re.compile(r"arn:(aws[a-z-]*):iam::\d{12}:role/[\w+=,.@/-]{1,576}")
_ROLE_NAME = re.compile(r"[\w+=,.@-]{1,64}")
_ASSUMED = re.compile(r"arn:[^:]+:sts::\d{12}:assumed-role/([^/]+)/")


class Account:
    """The account that the credentials belong to. Cheap to make: nothing is asked until used."""

    def __init__(self, *, region: str | None = None, profile: str | None = None) -> None:
        self._given_region, self.profile = region, profile
        self._lock = threading.RLock()
        self._clients: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"Account(region={self._given_region!r}, profile={self.profile!r})"

    @cached_property
    def region(self) -> str:
        """The region, given or configured; AccountError if there is none."""
        region = self._given_region or self._configured("region") or os.environ.get("AWS_REGION")
        if not region:
            raise AccountError(
                "no AWS region is configured. Name one: --region eu-west-1, or LENSA_REGION, or "
                "AWS_DEFAULT_REGION, or `region` in your profile (aws configure)."
            )
        return str(region)

    @cached_property
    def partition(self) -> str:
        """`aws`, or `aws-cn`, `aws-us-gov` ...; AccountError for what cannot be a region."""
        from botocore.exceptions import UnknownRegionError

        try:
            return str(self._session.get_partition_for_region(self.region))
        except UnknownRegionError:
            raise AccountError(
                f"there is no AWS region {self.region!r}. Regions look like eu-west-1."
            ) from None

    @cached_property
    def id(self) -> str:
        """The account's twelve digits, asked of STS once."""
        return str(self._caller["Account"])

    @property
    def caller(self) -> str:
        """The ARN of whoever asks."""
        return str(self._caller["Arn"])

    def client(self, service: str) -> Any:
        """Return the botocore client of a service: one for all threads, and patient."""
        with self._lock:
            if service not in self._clients:
                with explained(f"making an AWS client for {service}"):
                    self._clients[service] = self._make_client(service)
                be_patient(self._clients[service])
            return self._clients[service]

    def hasty_client(self, service: str, region: str) -> Any:
        """Return a client for questions whose answer is not worth waiting for."""
        key = f"{service} in {region}, hasty"
        with self._lock, explained(f"making an AWS client for {service}"):
            if key not in self._clients:
                self._clients[key] = self._make_client(service, region, seconds=5, attempts=2)
            return self._clients[key]

    def runtime_client(self) -> Any:
        """Return the client that asks endpoints, one for all threads.

        It waits ten seconds longer for an answer than SageMaker does, and asks once: an answer
        takes a minute of a machine, so whoever asks decides whether to ask again.
        """
        with self._lock:
            if _RUNTIME not in self._clients:
                with explained("making an AWS client for sagemaker-runtime"):
                    self._clients[_RUNTIME] = self._make_client(
                        _RUNTIME, attempts=0, answer_seconds=70
                    )
            return self._clients[_RUNTIME]

    def role(self, given: str | None) -> str:
        """Return the ARN of the role that SageMaker runs a job with.

        `given` is a name or an ARN; without it the caller's own role, if SageMaker may assume it,
        as in Studio and in notebook instances. AccountError says how to name one.
        """
        if given is None:
            return self._own_role()
        if _ROLE_ARN.fullmatch(given):
            return given
        if given.startswith("arn:") or not _ROLE_NAME.fullmatch(given):
            raise AccountError(
                f"{given!r} is neither the name nor the ARN of a role. {_NAME_A_ROLE}"
            )
        role = self._get_role(given)
        if role is None:
            raise AccountError(f"account {self.id} has no role {given!r}. {_NAME_A_ROLE}")
        return str(role["Arn"])

    def _own_role(self) -> str:
        assumed = _ASSUMED.match(self._caller["Arn"])
        if assumed is None:
            raise AccountError(f"SageMaker needs a role to run a job with. {_NAME_A_ROLE}")
        role = self._get_role(assumed[1])
        if role is None or "sagemaker.amazonaws.com" not in _trusted_services(role):
            raise AccountError(
                f"SageMaker needs a role to run a job with, and may not assume your own "
                f"({assumed[1]}). {_NAME_A_ROLE}"
            )
        return str(role["Arn"])

    def _get_role(self, name: str) -> dict[str, Any] | None:
        iam = self.client("iam")
        with explained(f"looking up the role {name!r} (its whole ARN needs no look-up)"):
            try:
                role: dict[str, Any] = iam.get_role(RoleName=name)["Role"]
            except iam.exceptions.NoSuchEntityException:
                return None
        return role

    @cached_property
    def _caller(self) -> dict[str, Any]:
        with self._lock, explained("asking AWS whose credentials these are"):
            answer: dict[str, Any] = self.client("sts").get_caller_identity()
        return answer

    @cached_property
    def _session(self) -> Any:
        import botocore.session

        return botocore.session.Session(profile=self.profile)

    def _configured(self, variable: str) -> str | None:
        with explained("reading your AWS configuration"):
            value: str | None = self._session.get_config_variable(variable)
        return value

    def _make_client(
        self,
        service: str,
        region: str | None = None,
        *,
        seconds: int = 10,
        answer_seconds: int | None = None,
        attempts: int = 10,
    ) -> Any:
        from botocore.config import Config

        config = Config(
            retries={"mode": "standard", "max_attempts": attempts},
            connect_timeout=seconds,
            read_timeout=answer_seconds or 6 * seconds,
            max_pool_connections=16,
            user_agent_extra=f"lensa/{__version__}",
        )
        return self._session.create_client(
            service, region_name=region or self.region, config=config
        )


def _trusted_services(role: dict[str, Any]) -> str:
    """Return the part of a role's trust policy that names services, as text to look in."""
    document = role.get("AssumeRolePolicyDocument", {})
    if isinstance(document, str):
        return unquote(document)
    return str(document)
