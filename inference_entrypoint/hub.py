"""What is fetched from the Hugging Face Hub, and its failures in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from lensa.errors import BaseModelError

_UNREACHABLE = (
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    httpx.TransportError,
    TimeoutError,
    RuntimeError,
)


@contextmanager
def hub_errors(
    repo: str, revision: str | None = None, file: str = "all the files it needs"
) -> Iterator[None]:
    """Turn each way in which the hub fails into one BaseModelError that says what to do."""
    at = f" at revision {revision!r}" if revision else ""
    try:
        yield
    except GatedRepoError:
        raise BaseModelError(
            f"{repo} is gated: accept its terms at https://huggingface.co/{repo}, "
            "then set HF_TOKEN to a token of that account."
        ) from None
    except RevisionNotFoundError:
        raise BaseModelError(f"{repo} has no revision {revision!r} on the hub.") from None
    except RepositoryNotFoundError:
        raise BaseModelError(
            f"{repo} is not on the hub, or it is private: check the id, or set HF_TOKEN."
        ) from None
    except _UNREACHABLE as error:
        # huggingface_hub 1.10 retries on the connection that it has just closed, and then says so.
        if isinstance(error, RuntimeError) and "client has been closed" not in str(error):
            raise
        raise BaseModelError(
            f"{repo}{at} is not in the local cache and the Hugging Face Hub cannot be reached. "
            "Check the connection (or HF_HUB_OFFLINE), or use a local folder."
        ) from None
    except EntryNotFoundError:
        raise BaseModelError(
            f"{repo}{at} does not hold {file}: it is not a model of the kind that is wanted here."
        ) from None
    except HFValidationError as error:
        raise BaseModelError(f"{repo!r} is not a hub id: {_first_line(error)}") from None
    except httpx.HTTPError as error:
        raise BaseModelError(f"The hub refused {repo}{at}: {_first_line(error)}") from None


def hub_index(repo: str, revision: str | None) -> tuple[dict[str, Any], str]:
    """Return the parsed model_index.json and the commit it comes from; no weights are fetched."""
    with hub_errors(repo, revision, "model_index.json"):
        path = Path(hf_hub_download(repo, "model_index.json", revision=revision))
    return json.loads(path.read_text()), path.parent.name  # .../snapshots/<commit>/


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
