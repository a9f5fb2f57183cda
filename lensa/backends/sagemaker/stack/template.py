"""The CloudFormation template: where it lies, and what of it outlives the stack."""

from __future__ import annotations

from pathlib import Path

import lensa

_PACKAGE = Path(lensa.__file__).resolve().parent

# Logical names of what stays when the stack goes: the avatars, and what decrypts them.
RETAINED = frozenset({"Bucket", "BucketPolicy", "Key"})


def template_path() -> Path:
    """Return the template's file: in an installed package inside it, in a checkout beside it."""
    installed = _PACKAGE / "_bundle" / "cloudformation" / "lensa.yaml"
    if installed.is_file():
        return installed
    return _PACKAGE.parent / "infra" / "cloudformation" / "lensa.yaml"


def template_body() -> str:
    return template_path().read_text("utf-8")
