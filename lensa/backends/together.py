"""Which avatars one endpoint can hold, here and on AWS."""

from __future__ import annotations

from collections.abc import Sequence

from lensa.contract import AvatarManifest
from lensa.errors import ConfigError


def check_together(avatars: Sequence[AvatarManifest]) -> None:
    """Raise ConfigError if one endpoint cannot hold these avatars."""
    first, *others = avatars
    for other in others:
        for avatar in (first, other):
            if avatar.config.method != "lora":
                raise ConfigError(
                    f"{avatar.avatar} has weights of its own instead of a LoRA, and gets an "
                    "endpoint of its own: serve it alone."
                )
        check_base(first, other)


def check_base(first: AvatarManifest, other: AvatarManifest) -> None:
    """Raise ConfigError unless both avatars are drawn with the same base model and VAE."""
    ours, theirs = first.config.base.name, other.config.base.name
    if (ours, first.base_revision) != (theirs, other.base_revision):
        raise ConfigError(
            f"{first.avatar} is on {ours} (revision {first.base_revision}) and {other.avatar} on "
            f"{theirs} (revision {other.base_revision}), and one endpoint has one base: serve "
            "them apart."
        )
    if (first.config.vae, first.vae_revision) != (other.config.vae, other.vae_revision):
        raise ConfigError(
            f"{first.avatar} is drawn with {first.config.vae or 'the VAE of its base'} and "
            f"{other.avatar} with {other.config.vae or 'that of its base'}, and one endpoint has "
            "one: serve them apart."
        )
