"""What a change set would do, in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_ACTIONS = {
    "Add": "make",
    "Modify": "change",
    "Remove": "remove",
    "Import": "import",
    "Dynamic": "perhaps change",
}
_REPLACED = {
    "True": "It is replaced: a new one is made, then the old one goes.",
    "Conditional": "It may be replaced: only the update itself tells.",
}
# A new one of these holds nothing of what the old one held.
_DEAR = {"AWS::S3::Bucket", "AWS::KMS::Key"}
_RETAINED = {*_DEAR, "AWS::S3::BucketPolicy"}


@dataclass(frozen=True)
class Change:
    """One line of a change set."""

    action: str  # make, change, remove ...
    resource: str  # its logical name in the template
    type: str
    note: str = ""
    replaced: bool = False  # or perhaps: only the update itself tells

    @property
    def permissions(self) -> bool:
        """Whether it decides who may do what."""
        return self.type.startswith("AWS::IAM::")


def read(changes: Iterable[dict[str, Any]]) -> list[Change]:
    """Return the changes of DescribeChangeSet: what is replaced or removed last, to be seen."""
    found = [_read(each["ResourceChange"]) for each in changes if "ResourceChange" in each]
    return sorted(found, key=lambda change: (bool(change.note), change.action == "remove"))


def _read(change: dict[str, Any]) -> Change:
    action = _ACTIONS.get(change["Action"], str(change["Action"]).lower())
    kind = change["ResourceType"]
    note = _REPLACED.get(str(change.get("Replacement")), "") if action == "change" else ""
    replaced = bool(note)
    retained = str(change.get("PolicyAction", "")).startswith("Retain") or kind in _RETAINED
    if action == "remove" and retained:
        note = "The stack lets go of it; it stays in the account."
    elif note and kind in _DEAR:
        note = note.split(", then")[0].rstrip(".") + ". The old one stays in the account."
    return Change(action, change["LogicalResourceId"], kind, note, replaced)
