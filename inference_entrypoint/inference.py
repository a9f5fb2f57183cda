"""The handlers behind SageMaker's serving images (aws_image.py).

`model_fn` is called once and the other three for each request: JSON in; JSON out, or one image if
`Accept` asks for it. Nothing is written under the model folder. Our own server (server.py) draws
through the same `Order`, and answers the same.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from inference_entrypoint.answers import respond, written
from inference_entrypoint.artifact import read_manifest
from inference_entrypoint.avatars import Avatar, load_avatar
from inference_entrypoint.drawing import OnStep, TimeUp
from inference_entrypoint.library import Library
from inference_entrypoint.media import JSON, media_type
from inference_entrypoint.shelf import Shelf
from lensa.contract import MANIFEST, GenerationRequest, GenerationResponse, Layout
from lensa.contract.environment import DEADLINE
from lensa.errors import ArtifactError, ConfigError, LensaError, TooMuchError

log = logging.getLogger("lensa.server")

# Where an endpoint's `AdditionalModelDataSources` put the base model, if it was mirrored.
BASE_CHANNEL = Path("additional-model-data-sources") / "base"

TOO_SLOW = (
    "generation: no image was ready in the time that an answer may take: ask for fewer steps, a "
    "smaller image or a lower quality, or use an asynchronous endpoint."
)
NO_MEMORY = "The GPU's memory does not hold a single image of this size: ask for smaller ones."


def model_fn(model_dir: str) -> Avatar | Library:
    """Load the avatar of a model folder, or take in all that are in folders of it.

    Raises ArtifactError, BaseModelError.
    """
    return load_model([Path(model_dir)])


def load_model(folders: Sequence[Path]) -> Avatar | Library:
    """Load the avatars of folders, or of folders in them. Several share their base.

    An endpoint with a shelf (`$LENSA_AVATARS`) draws those that are added there, too, unless the
    one in its model folder has weights of its own. A damaged one among several is left out, and
    logged. Raises ArtifactError, BaseModelError, and NotFoundError if none is left.
    """
    mirror = Layout.here().root / BASE_CHANNEL
    override = mirror if mirror.is_dir() else None
    found = [
        manifest.parent
        for folder in folders
        for manifest in (
            [folder / MANIFEST]
            if (folder / MANIFEST).is_file()
            else sorted(folder.glob(f"*/{MANIFEST}")) or [folder / MANIFEST]
        )
    ]
    shelf = Shelf.here()
    alone = found == list(folders) and len(found) == 1
    if alone and (shelf is None or read_manifest(found[0]).config.method != "lora"):
        return load_avatar(found[0], override=override)
    library = Library(override=override, shelf=shelf)
    for folder in found:
        try:
            library.add(folder)
        except ArtifactError as error:  # one that is damaged must not cost the others
            log.error("left out: %s", error)
    library.base  # noqa: B018 - loaded now: NotFoundError if there is none
    return library


def input_fn(body: str | bytes, content_type: str = JSON) -> GenerationRequest:
    """Parse a request. Raises ConfigError naming every field that is wrong."""
    if media_type(content_type) != JSON:
        raise ConfigError(f"generation: send {JSON}, not {content_type!r}.")
    return GenerationRequest.model_validate_json(body, strict=True)


def predict_fn(request: GenerationRequest, model: Avatar | Library) -> GenerationResponse:
    """Draw. Raises ConfigError or BaseModelError for what the request has to change."""
    return answer(request, model)


def output_fn(response: GenerationResponse, accept: str = JSON) -> bytes:
    """Return the answer as JSON, or the image itself if `accept` names its format.

    Raises ConfigError if several images were to go into one file, or the type is unknown,
    TooMuchError if it is longer than an answer may be.
    """
    return written(response, accept)


def answer(
    request: GenerationRequest, model: Avatar | Library, on_step: OnStep | None = None
) -> GenerationResponse:
    """`predict_fn` with progress.

    What is drawn when `LENSA_DEADLINE` is over is the answer, marked partial; TooMuchError if that
    is nothing.
    """
    start = time.monotonic()
    seconds = float(os.environ.get(DEADLINE) or 0) or float("inf")

    def step(done: int, of: int) -> None:
        if on_step is not None:
            on_step(done, of)
        if time.monotonic() - start > seconds:
            raise TimeUp

    try:
        result = model.generate(request, on_step=step)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        raise LensaError(NO_MEMORY) from None
    except TimeUp:
        raise TooMuchError(TOO_SLOW) from None
    return respond(result, model, time.monotonic() - start)
