"""What an endpoint needs beside its avatars: a base model that its container can reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lensa.backends.sagemaker import mirror
from lensa.backends.sagemaker.hosting.options import DeployOptions
from lensa.backends.sagemaker.transfer import Store
from lensa.contract import AvatarManifest
from lensa.errors import BaseModelError, ConfigError


@dataclass(frozen=True)
class BaseSupply:
    """Where the container finds the base. `key`: of its mirror in the bucket; None: the container
    gets it from the hub, or makes it by code. `local`: is to be mirrored first."""

    key: str | None = None
    local: mirror.LocalBase | None = None

    def bring(self, store: Store, on_progress: Callable[[int, int], None]) -> None:
        """Upload what is not in the bucket yet."""
        if self.local is not None:
            mirror.upload(store, self.local, on_progress)


def base_supply(store: Store, avatar: AvatarManifest, options: DeployOptions) -> BaseSupply:
    """Return where the container finds the base that an avatar was trained on.

    Raises ConfigError for what an isolated container could not reach, and BaseModelError for a base
    of a machine that is not this one, or that has other weights now.
    """
    ref = avatar.config.base
    isolated = options.network_isolation
    _check_vae(avatar, isolated)
    if ref.source == "generated":
        return BaseSupply()
    found = mirror.mirrored(store, ref.model_copy(update={"revision": avatar.base_revision}))
    if found is not None:
        return BaseSupply(found)
    if ref.source == "hub":
        if isolated:
            raise ConfigError(
                f"deploy: network_isolation is on, and the bucket has no copy of the base model "
                f"{ref.name!r} at revision {avatar.base_revision}: bring one there with: "
                f"lensa mirror {ref.location}@{avatar.base_revision}"
            )
        return BaseSupply()
    local = mirror.local_base(ref)
    assert local is not None  # neither of the hub nor generated
    if local.revision != avatar.base_revision:
        raise BaseModelError(
            f"{avatar.avatar} was trained on {ref.name} with weights of the revision "
            f"{avatar.base_revision}, and here it has those of {local.revision}: it would draw "
            "someone else. Deploy it where the base still is as it was."
        )
    return BaseSupply(local.key, local)


def _check_vae(avatar: AvatarManifest, isolated: bool) -> None:
    vae = avatar.config.vae
    if vae is None or (vae.source == "hub" and not isolated):
        return
    why = "is a folder of this machine" if vae.source == "folder" else "is on the hub"
    raise ConfigError(
        f"deploy: {avatar.avatar} is drawn with the VAE {vae}, which {why}, and the endpoint "
        "cannot reach it: train it on a base that has this VAE as its own."
    )
