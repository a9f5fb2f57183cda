"""What is asked of the stack, and the parameters of the template that say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import Field

from lensa.contract._model import Contract

# The template's, every one of them.
PARAMETERS = (
    *("BucketName", "CreateBucket", "Prefix", "PhotoDays", "UseKey", "KeyArn"),
    *("HubSecret", "WandbSecret", "UseVpc", "RolePath", "PermissionsBoundary"),
)

BUCKET_NAME = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"


class SetupOptions(Contract):
    """Options of `lensa setup`. None: as the stack has it, or the template's default."""

    title: ClassVar[str] = "setup"

    bucket: Annotated[str, Field(pattern=BUCKET_NAME)] | None = None
    prefix: (
        Annotated[
            str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,200}[A-Za-z0-9]$", max_length=100)
        ]
        | None
    ) = None
    photo_days: Annotated[int, Field(ge=1, le=3650)] | None = None

    # encryption
    key: bool | None = None  # a key is made
    key_arn: (
        Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+$")]
        | None
    ) = None  # or one is given

    # what jobs and endpoints reach
    hub_secret: bool | None = None
    wandb_secret: bool | None = None
    vpc: bool | None = None

    # IAM in an organisation
    role_path: (
        Annotated[str, Field(pattern=r"^/([A-Za-z0-9+=,.@_-]+/)*$", max_length=64)] | None
    ) = None
    permissions_boundary: (
        Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::(\d{12}|aws):policy/.+$")] | None
    ) = None

    def check(self) -> None:
        if self.key and self.key_arn:
            raise ValueError(
                "key asks for a new key and key_arn names one: give one of them (--key, or "
                "--key-arn ARN)."
            )

    def over(self, defaults: Self) -> Self:
        """Return these options, and for what they leave open those of `defaults`."""
        return type(self)(
            **{**defaults.model_dump(exclude_none=True), **self.model_dump(exclude_none=True)}
        )

    def parameters(self) -> dict[str, str]:
        """Return the template's parameters, those alone that were given."""
        key, key_arn = _word(self.key), self.key_arn
        if self.key is not None:  # a new one or none: in either case not the one that was given
            key_arn = ""
        elif self.key_arn is not None:
            key = "no"
        given = {
            "BucketName": self.bucket,
            "Prefix": self.prefix,
            "PhotoDays": None if self.photo_days is None else str(self.photo_days),
            "UseKey": key,
            "KeyArn": key_arn,
            "HubSecret": _word(self.hub_secret),
            "WandbSecret": _word(self.wandb_secret),
            "UseVpc": _word(self.vpc),
            "RolePath": self.role_path,
            "PermissionsBoundary": self.permissions_boundary,
        }
        return {name: value for name, value in given.items() if value is not None}


def changed(given: Mapping[str, str], present: Mapping[str, str]) -> list[dict[str, str | bool]]:
    """Return the parameters of a change set: what is given, and for the rest what is there.

    What an older template had and this one has not is left out.
    """
    parameters: list[dict[str, str | bool]] = []
    for name in PARAMETERS:
        if name in given:
            parameters.append({"ParameterKey": name, "ParameterValue": given[name]})
        elif name in present:
            parameters.append({"ParameterKey": name, "UsePreviousValue": True})
    return parameters


def _word(wanted: bool | None) -> str | None:
    return None if wanted is None else "yes" if wanted else "no"
