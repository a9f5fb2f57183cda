"""The networks lent to drawing, and given back in the modes that they were in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from diffusers import DiffusionPipeline

from inference_entrypoint.families import family_of


@contextmanager
def evaluating(pipeline: DiffusionPipeline) -> Iterator[None]:
    """Dropout and checkpointing off; afterwards every layer is in the mode it was in.

    It runs for every batch: where nothing trains, it only looks.
    """
    parts = family_of(pipeline).parts(pipeline).values()
    training = [layer for part in parts for layer in part.modules() if layer.training]
    for layer in training:
        layer.training = False
    try:
        yield
    finally:
        for layer in training:
            layer.training = True
