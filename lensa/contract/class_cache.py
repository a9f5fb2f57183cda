"""Which trainings draw the same class images: those with the same key share a cache."""

from __future__ import annotations

from lensa.contract.generation import QUALITIES
from lensa.contract.names import digest
from lensa.contract.training import TrainingConfig

FORMAT = 2  # changes whenever the same choices would be drawn another way


def class_cache_key(config: TrainingConfig, base_revision: str | None) -> str:
    """Return a digest of all that class image i follows from. How many there are and who the
    subject is are no part of it.

    `base_revision` is what the base resolves to, as far as that is known.
    """
    vae = {} if config.vae is None else {"vae": config.vae.model_dump(mode="json")}
    return digest(
        {
            **vae,
            "format": FORMAT,
            "base": [config.base.name, config.base.location],
            "revision": base_revision or config.base.revision,
            "prompt": config.fill(config.class_prompt),
            "steps": config.class_image_steps,
            "guidance": config.class_image_guidance,
            "sampling": [QUALITIES["standard"].scheduler, QUALITIES["standard"].guided],
            "seed": config.seed,
            "resolution": config.resolution,
        }
    )
