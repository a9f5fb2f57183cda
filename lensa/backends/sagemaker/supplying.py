"""What a job needs beside its photos: code, base model, class images, wheels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lensa.backends.base import TrainingPlan
from lensa.backends.bundle import build_bundle, build_wheelhouse
from lensa.backends.sagemaker import mirror
from lensa.backends.sagemaker.options import SagemakerOptions
from lensa.backends.sagemaker.submission import Supplies, cache_keys, check_reach, needs_wheels
from lensa.backends.sagemaker.transfer import Store


def pinned(plan: TrainingPlan) -> TrainingPlan:
    """Let a base of this machine go by its weights: with other weights it is another training."""
    base = plan.config.base
    if base.source not in {"folder", "file", "pickle"} or base.revision:
        return plan
    local = mirror.local_base(base)
    revision = local.revision if local is not None else None
    config = plan.config.model_copy(update={"base": base.model_copy(update={"revision": revision})})
    return replace(plan, config=config)


def gather(
    store: Store,
    home: Path,
    plan: TrainingPlan,
    options: SagemakerOptions,
    on_progress: Callable[[int, int], None],
) -> Supplies:
    """Return what the bucket has for a job, with a base of this machine brought there.

    Raises ConfigError for what an isolated job could not reach, before anything is sent.
    """
    local = mirror.local_base(plan.config.base)
    base = mirror.mirrored(store, plan.config.base) if local is None else local.key
    check_reach(plan, options, base)
    wheels = build_wheelhouse(home / "wheelhouses") if needs_wheels(options) else []
    if local is not None:
        mirror.upload(store, local, on_progress)
    caches = cache_keys(plan, base)
    return Supplies(
        bundle=build_bundle(),
        wheels=tuple(wheels),
        base=base,
        class_caches=frozenset(n for n, cache in caches.items() if store.exists(f"{cache}/")),
    )
