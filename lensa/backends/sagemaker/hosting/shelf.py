"""The avatars of an endpoint: those that it began with, and those added while it runs."""

from __future__ import annotations

from collections.abc import Callable

from lensa.backends.sagemaker import keys
from lensa.backends.sagemaker.avatars import read_manifest
from lensa.backends.sagemaker.hosting.composing import copies_of, manifest_blob
from lensa.backends.sagemaker.hosting.parts import Contents
from lensa.backends.sagemaker.transfer import Store
from lensa.backends.together import check_base
from lensa.contract import MANIFEST, AvatarManifest
from lensa.errors import ArtifactError, ConfigError, LensaError, NotFoundError, suggest


class Shelf:
    """What an endpoint draws with. Adding to it takes no redeployment: the container fetches an
    avatar when it is first asked for."""

    def __init__(
        self, store: Store, endpoint: str, contents: Contents, find: Callable[[str], str]
    ) -> None:
        self._store, self._endpoint, self._contents = store, endpoint, contents
        self._find = find

    def find(self, name: str) -> str:
        """Return the id of an avatar by its id or its subject's name; NotFoundError."""
        return self._find(name)

    def first(self) -> list[str]:
        """Return the ids of the avatars that the endpoint was deployed with."""
        folder = self._contents.folder
        found = self._below(folder)
        if found:
            return found
        content = self._store.read(f"{folder}/{MANIFEST}")
        return [] if content is None else [_read(content, folder).avatar]

    def added(self) -> list[str]:
        """Return the ids of those that were added later."""
        return self._below(keys.shelf(self._endpoint))

    def names(self) -> list[str]:
        return list(dict.fromkeys(self.first() + self.added()))

    def add(self, job: str) -> None:
        """Add a finished avatar; one that is there already stays.

        Raises ConfigError if the endpoint cannot hold it: isolated, or of full weights, or on
        another base.
        """
        if self._contents.isolated:
            raise ConfigError(
                f"the endpoint {self._endpoint} is isolated from the network and has a fixed set "
                "of avatars: deploy them all at once."
            )
        avatar = read_manifest(self._store, job)
        if avatar.config.method != "lora":
            raise ConfigError(
                f"{job} has weights of its own instead of a LoRA, and gets an endpoint of its own: "
                "deploy it alone."
            )
        if job in self.names():
            return
        check_base(self._any(), avatar)
        target = f"{keys.shelf(self._endpoint)}/{job}"
        self._store.copy(copies_of(avatar, target))
        self._store.put([manifest_blob(avatar, target)])

    def remove(self, job: str) -> None:
        """Take an avatar away that was added. The container draws it no more half a minute later.

        Raises ConfigError for one that the endpoint was deployed with, NotFoundError.
        """
        added = self.added()
        if job in added:
            # Its manifest first: without it the avatar is not there.
            folder = f"{keys.shelf(self._endpoint)}/{job}"
            self._store.delete(f"{folder}/{MANIFEST}")
            self._store.delete(folder)
            return
        if job in self.first():
            raise ConfigError(
                f"the endpoint {self._endpoint} was deployed with {job}, which stays as long as "
                f"it: deploy the others under the same name (name={self._endpoint!r})."
            )
        raise NotFoundError(f"{self._endpoint} has no avatar {job!r}.{suggest(job, added)}")

    def _any(self) -> AvatarManifest:
        """Return the manifest of an avatar that the endpoint was deployed with."""
        folder = self._contents.folder
        for key in (
            f"{folder}/{MANIFEST}",
            *(f"{folder}/{one}/{MANIFEST}" for one in self.first()),
        ):
            if (content := self._store.read(key)) is not None:
                manifest = _read(content, folder)
                if manifest.config.method != "lora":
                    raise ConfigError(
                        f"the endpoint {self._endpoint} has full weights, those of "
                        f"{manifest.avatar}, and takes no other avatar: deploy this one apart."
                    )
                return manifest
        raise ArtifactError(
            f"{self._store.bucket.uri(folder)} holds no avatar (any more): deploy it again."
        )

    def _below(self, folder: str) -> list[str]:
        ends = f"/{MANIFEST}"
        found = [item.key[len(folder) + 1 :] for item in self._store.list(f"{folder}/")]
        return [
            key.removesuffix(ends) for key in found if key.endswith(ends) and key.count("/") == 1
        ]


def _read(content: bytes, where: str) -> AvatarManifest:
    try:
        return AvatarManifest.model_validate_json(content)
    except LensaError as error:
        raise ArtifactError(f"{where}: {MANIFEST} cannot be read: {error}") from None
