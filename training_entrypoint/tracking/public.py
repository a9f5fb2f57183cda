"""What of a configuration may be seen by a tracker's server: no name, and no path."""

from __future__ import annotations

from typing import Any

from lensa.contract import TrainingConfig


def public(config: TrainingConfig) -> dict[str, Any]:
    """Return the configuration without what the user called things, and where they lie.

    The subject's name is in none: a job does not know it. But a concept has one for prompts, and a
    model of this machine has a path.
    """
    told = config.model_dump(mode="json", exclude={"base", "vae", "concepts", "gallery"})
    told["base"] = _place(config.base.source, config.base.name)
    told["base_family"] = config.base.family
    if config.base.revision is not None:
        told["base_revision"] = config.base.revision
    if config.vae is not None:
        told["vae"] = _place(config.vae.source, str(config.vae))
    told["concepts"] = [
        concept.model_dump(mode="json", exclude={"name"}) for concept in config.concepts
    ]
    told["gallery"] = {item.name: item.count for item in config.gallery}
    return told


def _place(source: str, name: str) -> str:
    """A folder's or a file's name is the user's own word."""
    return name if source in {"hub", "package", "generated"} else f"a {source} of your own"
