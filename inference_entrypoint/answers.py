"""What was drawn, as it is sent: the contract's answer, or one image as a file.

An answer holds 6 MB at most, which is what a real-time endpoint sends, or what `$LENSA_MAX_ANSWER`
says. Where it would be larger the images are WebP instead, and say so.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping
from io import BytesIO

from PIL import Image

from inference_entrypoint.avatars import Avatar
from inference_entrypoint.encode import encode, parameters, read_parameters
from inference_entrypoint.library import Library
from inference_entrypoint.media import negotiate
from inference_entrypoint.order import Result
from lensa.contract import GeneratedImage, GenerationResponse
from lensa.contract.environment import MAX_ANSWER_BYTES
from lensa.contract.generation import MAX_ANSWER, STRENGTH, ImageFormat
from lensa.errors import LensaError, TooMuchError


def longest(environ: Mapping[str, str] = os.environ) -> float:
    """Return how many bytes an answer may have here. Raises LensaError if that is no number."""
    given = environ.get(MAX_ANSWER_BYTES) or str(MAX_ANSWER)
    if not given.isdecimal():
        raise LensaError(f"{MAX_ANSWER_BYTES} is {given!r}: give a number of bytes, or 0 for any.")
    return int(given) or float("inf")


def respond(result: Result, model: Avatar | Library, seconds: float) -> GenerationResponse:
    """Return the answer to a request."""
    request = result.request
    return GenerationResponse(
        avatar=request.avatar or model.name,
        # Without the picture, which is theirs, and megabytes; the strength is about it.
        request=request.model_copy(update={"image": None, "strength": STRENGTH}),
        images=encoded(result, model),
        warnings=tuple(result.warnings),
        partial=result.partial,
        seconds=round(seconds, 3),
    )


def encoded(
    result: Result, model: Avatar | Library, positions: Iterable[int] | None = None
) -> tuple[GeneratedImage, ...]:
    """Return the images of a result, or those at some positions, each with what it takes to make
    it again."""
    drawn, base = result.request.avatar or model.name, model.base.ref.name
    format = result.request.format
    return tuple(
        GeneratedImage(
            data=_text(
                encode(
                    result.images[position],
                    format,
                    parameters(result, position, avatar=drawn, model=base),
                )
            ),
            format=format,
            prompt=result.prompts[position],
            seed=result.seeds[position],
            index=result.indices[position],
            unsafe=result.unsafe[position],
        )
        for position in (range(len(result.images)) if positions is None else positions)
    )


def written(response: GenerationResponse, accept: str, most: float | None = None) -> bytes:
    """Return an answer as JSON, or its image itself if `accept` names a format; in `most` bytes,
    or as many as `longest` says.

    Raises ConfigError as `negotiate` does, TooMuchError if it is longer even as WebP.
    """
    wanted, most = negotiate(response.request, accept), most or longest()
    if wanted is not None:
        return _file(response.images[0], wanted, most)
    text = response.model_dump_json().encode()
    if len(text) > most:
        before = len(text)
        text = _smaller(response, before, most).model_dump_json().encode()
        if len(text) > most:
            size = f"{response.request.width} x {response.request.height}"
            raise TooMuchError(
                f"generation: {len(response.images)} images of {size} px are {before / 1e6:.1f} MB "
                f"({len(text) / 1e6:.1f} as WebP), and an answer may have {most / 1e6:g}: ask for "
                "fewer at a time (index says where to go on) or for smaller ones, or use an "
                "asynchronous endpoint."
            )
    return text


def _smaller(response: GenerationResponse, size: int, most: float) -> GenerationResponse:
    """Return the same answer with its images as WebP, and a word about it."""
    images = tuple(
        image.model_copy(update={"format": "webp", "data": _text(_converted(image, "webp"))})
        for image in response.images
    )
    warning = (
        f"format: as {response.request.format.upper()} the answer would have {size / 1e6:.1f} MB, "
        f"and it may have {most / 1e6:g}: its images are WebP. Ask for fewer at a time."
    )
    update = {"images": images, "warnings": (*response.warnings, warning)}
    return response.model_copy(update=update)


def _file(image: GeneratedImage, wanted: ImageFormat, most: float) -> bytes:
    content = image.content() if wanted == image.format else _converted(image, wanted)
    if len(content) > most:
        raise TooMuchError(
            f"generation: as {wanted.upper()} the image has {len(content) / 1e6:.1f} MB, and an "
            f"answer may have {most / 1e6:g}: accept image/webp, or ask for a smaller one."
        )
    return content


def _converted(image: GeneratedImage, format: ImageFormat) -> bytes:
    with Image.open(BytesIO(image.content())) as picture:
        return encode(picture.convert("RGB"), format, read_parameters(picture) or "")


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
