"""How avatars are served on SageMaker, beside which: the options of one endpoint."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from lensa.backends.sagemaker.options import SecretArn
from lensa.backends.sagemaker.tags import check_tags
from lensa.contract._model import Contract
from lensa.contract.names import digest

# Configuration and model are called after the endpoint, with "-" and eight digits: 63 in all.
ENDPOINT = re.compile(r"lensa-(?=.{1,48}$)[a-z0-9]+(-[a-z0-9]+)*")

FOREVER = "forever"
_KEEP = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_LEAST, _MOST = timedelta(minutes=15), timedelta(days=366)

EndpointName = Annotated[str, Field(pattern=r"^lensa-[a-z0-9][a-z0-9-]{0,47}$")]
Subnet = Annotated[str, Field(pattern=r"^[-0-9a-zA-Z]{1,32}$")]


class DeployOptions(Contract):
    """Options of one endpoint."""

    title: ClassVar[str] = "deploy"

    # the machine
    instance_type: Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$")] = "ml.g5.xlarge"
    serving: Literal["aws", "own"] = "aws"  # AWS's Hugging Face image, or one of your own registry
    image: Annotated[str, Field(pattern=r"^\S{1,255}$")] | None = None  # of serving="own"
    ami: Annotated[str, Field(pattern=r"^[a-zA-Z0-9-]{1,63}$")] | None = None  # InferenceAmiVersion

    # its end
    keep: str = "2h"  # 90m, 2h, 3d or forever: then it is deleted, whoever is there
    extend: bool = False  # each use lets it begin anew

    # how it is asked
    name: EndpointName | None = None  # None: after what it is made of
    asynchronous: bool = False  # through S3, with no machine while there is nothing to do
    max_instances: Annotated[int, Field(ge=1, le=100)] = 1  # of an asynchronous one

    # what it can reach
    subnets: Annotated[tuple[Subnet, ...], Field(max_length=16)] = ()
    security_groups: Annotated[tuple[Subnet, ...], Field(max_length=5)] = ()
    network_isolation: bool = False
    hub_secret: SecretArn | None = None

    tags: Annotated[dict[str, str], Field(max_length=40)] = Field(default_factory=dict)

    @property
    def lifetime(self) -> timedelta | None:
        """How long it is kept; None: for ever."""
        return lifetime(self.keep)

    def check(self) -> None:
        kept = lifetime(self.keep)
        if self.extend and kept is None:
            raise ValueError("extend is on and keep is 'forever': there is no end to move.")
        if self.name is not None and not ENDPOINT.fullmatch(self.name):
            raise ValueError(
                f"name = {self.name!r}: letters, digits and single hyphens between them, 48 at "
                "most behind 'lensa-'."
            )
        if self.serving == "own" and self.image is None:
            raise ValueError(
                "serving is 'own', and there is no image: build infra/docker/serving, push it to "
                "your registry, and set image to its URI there."
            )
        if self.serving == "aws" and self.image is not None:
            raise ValueError("image is that of serving='own': set both, or neither.")
        if self.max_instances > 1 and not self.asynchronous:
            raise ValueError(
                "max_instances is of an asynchronous endpoint, which has as many as it needs: set "
                "asynchronous, or leave max_instances out."
            )
        if bool(self.subnets) != bool(self.security_groups):
            raise ValueError("subnets and security_groups go together: set both, or neither.")
        if self.network_isolation and self.hub_secret:
            raise ValueError(
                "hub_secret is set and network_isolation is on: an isolated container reaches "
                "nothing, not even its secrets. Leave one of them out."
            )
        check_tags(self.tags)

    def identity(self) -> dict[str, Any]:
        """What makes it another endpoint, and not only the same one for longer."""
        told = self.model_dump(mode="json", exclude={"keep", "extend", "name", "tags"})
        return {key: value for key, value in told.items() if value}

    def endpoint(self, subject_id: str, avatars: list[str]) -> str:
        """Return the name: the given one, or that of an endpoint of these avatars."""
        return self.name or f"lensa-{subject_id}-{digest([avatars, self.identity()])[:8]}"


def lifetime(keep: str) -> timedelta | None:
    """Return how long `keep` is, or None for "forever". ValueError says what it may be."""
    if keep == FOREVER:
        return None
    found = _KEEP.fullmatch(keep)
    if found is None:
        raise ValueError(
            f"keep = {keep!r}: a number with its unit, such as 90m, 2h or 3d, or the word forever."
        )
    kept = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if not _LEAST <= kept <= _MOST:
        raise ValueError(
            f"keep = {keep!r}: from 15m (an endpoint takes some to come up) to 366d; longer is "
            "forever, typed out."
        )
    return kept
