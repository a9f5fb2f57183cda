"""An export to a repository of the Hugging Face Hub: private unless said otherwise, with a model
card, and with nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import httpx
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from inference_entrypoint.exporting.card import model_card
from inference_entrypoint.exporting.lora import without_origin
from lensa.contract import AvatarManifest, BaseModelRef
from lensa.contract.exports import ExportFormat
from lensa.errors import AccountError, ConfigError, ServiceError

_TOKENS = "https://huggingface.co/settings/tokens"


class Repository:
    """A repository that may be pushed to, checked before anything is made for it."""

    def __init__(self, name: str, *, public: bool) -> None:
        """Raises AccountError without a token that the hub accepts, ConfigError if the repository
        is public and that was not asked for, ServiceError if the hub cannot be reached."""
        self.name = name
        self._api = HfApi()
        self._private = not public
        with _refusals(name):
            self._api.whoami()
            try:
                found = self._api.repo_info(name)
            except RepositoryNotFoundError:
                self._exists = False
                return
        self._exists = True
        if self._private and not found.private:
            raise ConfigError(
                f"{name} is there already, and everybody can read it: push to a repository of "
                "another name, or give --public if that is what you want."
            )

    def push(self, export: Path, manifest: AvatarManifest, format: ExportFormat) -> str:
        """Upload an export and its card in one commit, and return the repository's address."""
        name = published_name(manifest, format)
        card = model_card(manifest, format, self.name, name, self._licence(manifest.config.base))
        files = {"README.md": CommitOperationAdd("README.md", card.encode())}
        if format == "diffusers":
            for path in sorted(path for path in export.rglob("*") if path.is_file()):
                place = path.relative_to(export).as_posix()
                files[place] = CommitOperationAdd(place, path)
        else:
            content = without_origin(export) if format == "lora" else export
            files[name] = CommitOperationAdd(name, content)
        with _refusals(self.name):
            if not self._exists:
                # Not `exist_ok`: one that somebody made public meanwhile is refused.
                self._api.create_repo(self.name, private=self._private)
            self._api.create_commit(
                self.name, list(files.values()), commit_message=f"Upload {manifest.avatar}"
            )
        return f"{self._api.endpoint}/{self.name}"

    def _licence(self, base: BaseModelRef) -> str | None:
        """Return what the base says of itself, in the hub's names of licences; None if it does
        not say, or cannot be asked."""
        if base.source == "package":
            try:
                said = metadata.metadata(base.location.replace("_", "-")).get("License-Expression")
            except metadata.PackageNotFoundError:
                return None
            return said.lower() if said else None
        if base.source != "hub":
            return None
        try:
            card = self._api.model_info(base.location).card_data
        except (HfHubHTTPError, httpx.HTTPError):
            return None
        return card.get("license") if card else None


def published_name(manifest: AvatarManifest, format: ExportFormat) -> str:
    """Return the name of an export's file in a repository: never one that the user chose, which
    may be the subject's."""
    if format == "lora":
        return "pytorch_lora_weights.safetensors"
    return manifest.avatar + ("" if format == "diffusers" else ".safetensors")


@contextmanager
def _refusals(repo: str) -> Iterator[None]:
    """Turn each way in which the hub says no into one error that says what to do."""
    try:
        yield
    except LocalTokenNotFoundError:
        raise AccountError(
            f"pushing to {repo} needs a token that may write: make one at {_TOKENS} and set "
            "HF_TOKEN."
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 401:
            raise AccountError(
                f"the hub does not accept this token: make a new one at {_TOKENS} and set HF_TOKEN."
            ) from None
        if status == 403:
            raise AccountError(
                f"this token may not write to {repo}: give it the permission to write at "
                f"{_TOKENS}, or push to a name of your own."
            ) from None
        reason = (error.server_message or str(error)).strip().splitlines()[0][:300]
        if status >= 500:
            raise ServiceError(f"the hub failed ({status}: {reason}). Try again later.") from None
        raise AccountError(f"the hub refused {repo} ({status}: {reason}).") from None
    except HFValidationError as error:
        raise ConfigError(f"{repo!r} is no name of a repository: {error}") from None
    except (OfflineModeIsEnabled, httpx.TransportError, ConnectionError, TimeoutError):
        raise ServiceError(
            f"the Hugging Face Hub cannot be reached, and nothing was pushed to {repo}. Check the "
            "connection (or HF_HUB_OFFLINE), and push again."
        ) from None
