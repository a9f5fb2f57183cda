"""The words a user chooses or a machine makes up, and what they may look like."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from typing import Any

from lensa.errors import ConfigError

SUBJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
SUBJECT_ID = re.compile(r"[0-9a-z]{8}")
JOB = re.compile(r"lensa-[0-9a-z]{8}-[0-9a-f]{8}(-[0-9]{1,3})?")  # the last part: its attempt

_ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u to misread


def check_subject(name: str) -> str:
    """Return the subject's name, or raise ConfigError saying what it may look like."""
    if SUBJECT.fullmatch(name):
        return name
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63]
    hint = f" Try {slug!r}." if slug else ""
    shown = name if len(name) <= 40 else f"{name[:40]}... ({len(name)} characters)"
    raise ConfigError(
        f"subject {shown!r}: use 1 to 63 letters, digits, '-' or '_', "
        f"a letter or digit first.{hint}"
    )


def new_subject_id() -> str:
    """Return a random id (40 bits): the subject's name itself never leaves the user's side."""
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(8))


def digest(value: Any) -> str:
    """Return the sha256 of a JSON-able value, whatever the order of its keys."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def job_name(subject_id: str, photo_digests: list[str], config: dict[str, Any]) -> str:
    """Return the name of a training job. It is made of what the job is made of, so that asking
    twice is the same job."""
    return f"lensa-{subject_id}-{digest([sorted(photo_digests), config])[:8]}"
