"""Whether the hub gives a model away: asked for the head of its index, which costs nothing."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from typing import Literal

from lensa.contract import BaseModelRef

Given = Literal["open", "closed", "missing", "unreachable"]

_SECONDS = 5


def token() -> str | None:
    return os.environ.get("HF_TOKEN") or None


def address(base: BaseModelRef) -> str:
    """Return the model's page, where its licence is accepted."""
    return f"{_hub()}/{base.location}"


def ask(base: BaseModelRef, token: str | None = None) -> Given:
    """Ask for a model with a token, or as everybody."""
    if os.environ.get("HF_HUB_OFFLINE", "0") not in {"", "0"}:
        return "unreachable"
    url = f"{address(base)}/resolve/{base.revision or 'main'}/model_index.json"
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - the user's own HF_ENDPOINT
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS):  # noqa: S310
            return "open"
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in {401, 403}:
            return "closed"
        return "missing" if error.code == 404 else "unreachable"
    except (OSError, ValueError):
        return "unreachable"


def _hub() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
