"""`generate`: a GenerationRequest into images. Validation while training, class images and every
endpoint go through the same `Order` and `Batcher`, so that what you saw is what you get.

The starting noise of image i depends on (seed, i) alone, each prompt is encoded by itself, and no
global state is read or left changed: the same request on the same machine gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from diffusers import DiffusionPipeline

from inference_entrypoint.batching import draw_alone
from inference_entrypoint.drawing import OnStep
from inference_entrypoint.modes import evaluating
from inference_entrypoint.order import Expander, Order, Result
from inference_entrypoint.safety import SafetyChecker
from lensa.contract import Concept, GenerationRequest


def generate(
    pipeline: DiffusionPipeline,
    request: GenerationRequest,
    *,
    subject: str,
    class_noun: str,
    others: Sequence[Concept] = (),
    style: bool = False,
    expander: Expander | None = None,
    checker: SafetyChecker | None = None,
    adapters: Mapping[str, float] | None = None,
    batch_size: int = 4,
    indices: Sequence[int] | None = None,
    on_step: OnStep | None = None,
) -> Result:
    """Return `request.count` images, or only those of `indices`.

    `others` is what the avatar learned beside the subject, and `style` whether that is a manner of
    drawing: see place_subject.

    A request that was not `suited_to` its base gets what suits SD 1.x.

    `adapters` are those to use, by name, each with its scale; None: whatever is inside the
    pipeline, trained or in training, at `request.adapter_scale`. Modes (train or eval), scales,
    schedulers and random states are afterwards as they were.

    Raises ConfigError for what the request has to change, LensaError if the model yields numbers
    that are no picture, torch.OutOfMemoryError if a single image does not fit into the GPU.
    """
    with torch.no_grad(), evaluating(pipeline):
        order = Order(
            pipeline,
            request,
            subject=subject,
            class_noun=class_noun,
            others=others,
            style=style,
            expander=expander,
            checker=checker,
            adapters=adapters,
            indices=indices,
        )
        return draw_alone(order, batch_size, on_step)
