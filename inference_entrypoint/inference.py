"""The handlers that SageMaker's serving images call, and our own server too.

AWS's Hugging Face image imports this module (`SAGEMAKER_PROGRAM`), calls `model_fn` once and the
other three for each request: JSON in; JSON out, or one image if `Accept` asks for it. Nothing is
written under the model folder.
"""

from __future__ import annotations

import base64
import logging
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from inference_entrypoint.avatars import Avatar, load_avatar
from inference_entrypoint.encode import encode, parameters, read_parameters
from inference_entrypoint.generate import OnStep, Result
from inference_entrypoint.library import Library
from lensa.contract import MANIFEST, GeneratedImage, GenerationRequest, GenerationResponse, Layout
from lensa.contract.generation import STRENGTH, ImageFormat
from lensa.errors import ArtifactError, ConfigError, LensaError

log = logging.getLogger("lensa.server")

JSON = "application/json"
IMAGE_TYPES: dict[str, ImageFormat] = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/webp": "webp",
}

# Where an endpoint's `AdditionalModelDataSources` put the base model, if it was mirrored.
BASE_CHANNEL = Path("additional-model-data-sources") / "base"


def model_fn(model_dir: str, context: Any = None) -> Avatar | Library:
    """Load the avatar of a model folder, or take in all that are in folders of it.

    Raises ArtifactError, BaseModelError.
    """
    mirror, folder = Layout.here().root / BASE_CHANNEL, Path(model_dir)
    override = mirror if mirror.is_dir() else None
    found = sorted(folder.glob(f"*/{MANIFEST}"))
    if (folder / MANIFEST).is_file() or not found:
        return load_avatar(folder, override=override)
    library = Library(override=override)
    for manifest in found:
        try:
            library.add(manifest.parent)
        except ArtifactError as error:  # one that is damaged must not cost the others
            log.error("left out: %s", error)
    library.base  # noqa: B018 - loaded now: NotFoundError if there is none
    return library


def input_fn(body: str | bytes, content_type: str = JSON, context: Any = None) -> GenerationRequest:
    """Parse a request. Raises ConfigError naming every field that is wrong."""
    if media_type(content_type) != JSON:
        raise ConfigError(f"generation: send {JSON}, not {content_type!r}.")
    return GenerationRequest.model_validate_json(body)


def predict_fn(
    request: GenerationRequest, model: Avatar | Library, context: Any = None
) -> GenerationResponse:
    """Draw. Raises ConfigError or BaseModelError for what the request has to change."""
    return answer(request, model)


def output_fn(response: GenerationResponse, accept: str = JSON, context: Any = None) -> str | bytes:
    """Return the answer as JSON, or the image itself if `accept` names its format.

    Raises ConfigError if several images were to go into one file, or the type is unknown.
    """
    wanted = negotiate(response.request, accept)
    if wanted is None:
        return response.model_dump_json()
    (image,) = response.images
    content = image.content()
    if wanted == image.format:
        return content
    with Image.open(BytesIO(content)) as picture:
        return encode(picture.convert("RGB"), wanted, read_parameters(picture) or "")


def answer(
    request: GenerationRequest, model: Avatar | Library, on_step: OnStep | None = None
) -> GenerationResponse:
    """`predict_fn` with progress. AWS's image counts the parameters of the handlers: three."""
    start = time.monotonic()
    try:
        result = model.generate(request, on_step=on_step)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        raise LensaError(
            "The GPU's memory does not hold a single image of this size: ask for smaller ones."
        ) from None
    images = tuple(
        GeneratedImage(
            data=base64.b64encode(
                encode(image, request.format, _description(result, position, model))
            ).decode(),
            format=request.format,
            prompt=result.prompts[position],
            seed=result.seeds[position],
            index=result.indices[position],
            unsafe=result.unsafe[position],
        )
        for position, image in enumerate(result.images)
    )
    return GenerationResponse(
        avatar=result.request.avatar or model.name,
        # Without the picture, which is theirs, and megabytes; the strength is about it.
        request=result.request.model_copy(update={"image": None, "strength": STRENGTH}),
        images=images,
        warnings=tuple(result.warnings),
        seconds=round(time.monotonic() - start, 3),
    )


def _description(result: Result, position: int, model: Avatar | Library) -> str:
    drawn = result.request.avatar or model.name
    return parameters(result, position, avatar=drawn, model=model.base.ref.name)


def negotiate(request: GenerationRequest, accept: str) -> ImageFormat | None:
    """Return the format of the one image that is the answer, or None for JSON."""
    for wanted in map(media_type, accept.split(",")):
        if wanted in ("", "*/*", "application/*", JSON):
            return None
        if wanted in IMAGE_TYPES or wanted == "image/*":
            if request.count != 1:
                raise ConfigError(
                    f"generation: count = {request.count}, and {wanted} holds one image: "
                    f"ask for one, or accept {JSON}."
                )
            return IMAGE_TYPES.get(wanted, request.format)
    known = ", ".join((JSON, *IMAGE_TYPES))
    raise ConfigError(f"generation: Accept {accept!r} cannot be answered. Ask for {known}.")


def media_type(header: str) -> str:
    """Return a media type without its parameters: "text/html;q=0.8" is "text/html"."""
    return header.split(";")[0].strip().lower()
