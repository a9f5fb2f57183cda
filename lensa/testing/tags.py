"""AddTags, ListTags and DeleteTags of SageMaker, for what the twin itself keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lensa.testing.account import page
from lensa.testing.answers import AwsError
from lensa.testing.operations import Call

_OURS = (":training-job/", ":model/", ":endpoint-config/", ":endpoint/")

TagsOf = Callable[[str], dict[str, str] | None]
"""ARN -> the tags themselves, to be read or changed; None if there is no such thing."""


class TagsApi:
    """The tags of training jobs, models, configurations and endpoints. Others are moto's."""

    def __init__(self, sources: Sequence[TagsOf]) -> None:
        self._sources = sources

    def add(self, call: Call) -> dict[str, Any] | None:
        tags = self._find(call)
        if tags is None:
            return None
        tags |= {tag["Key"]: tag["Value"] for tag in call.parameters["Tags"]}
        return {"Tags": _listed(tags)}

    def list(self, call: Call) -> dict[str, Any] | None:
        tags = self._find(call)
        return None if tags is None else page(_listed(tags), call.parameters, "Tags", 50)

    def delete(self, call: Call) -> dict[str, Any] | None:
        tags = self._find(call)
        if tags is None:
            return None
        for key in call.parameters["TagKeys"]:
            tags.pop(key, None)
        return {}

    def _find(self, call: Call) -> dict[str, str] | None:
        arn = call.parameters["ResourceArn"]
        if not any(part in arn for part in _OURS):
            return None
        for tags_of in self._sources:
            if (tags := tags_of(arn)) is not None:
                return tags
        raise AwsError("ValidationException", "Requested resource not found.")


def _listed(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
