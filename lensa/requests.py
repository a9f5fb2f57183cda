"""What somebody asks for, as a request: words, a style around them, a picture to begin with."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensa.contract.generation import MAX_SIDE, GenerationRequest
from lensa.contract.prompts import with_subject
from lensa.errors import ConfigError

if TYPE_CHECKING:
    from lensa.like import Source

_PACKED = 5_900_000  # characters of a picture: SageMaker takes requests of 6 MB


def make_request(
    prompt: str, *, style: str | None = None, name: str | None = None, **fields: Any
) -> GenerationRequest:
    """Return the request for a prompt, with a style's words around it.

    `name` is the subject's own; where the prompt says it, the subject is meant. `image` may be a
    file, a picture or its bytes.
    """
    names = [] if name is None else [name]
    prompt = with_subject(prompt, names)
    if fields.get("negative_prompt"):
        fields["negative_prompt"] = with_subject(fields["negative_prompt"], names)
    if fields.get("image") is not None:
        fields["image"] = packed(fields["image"])
    if style is not None:
        from lensa.prompts.styles import style as find_style

        chosen = find_style(style)
        prompt, negative = chosen.apply(prompt)
        parts = [part for part in (fields.get("negative_prompt", ""), negative) if part]
        settings = chosen.settings
        if fields.get("quality") or fields.get("few_step"):
            settings.pop("steps", None)  # what is asked for in so many words comes first
        if fields.get("few_step"):
            settings.pop("guidance_scale", None)
        fields = {**settings, **fields, "negative_prompt": ", ".join(parts)}
    return GenerationRequest(prompt=prompt, **fields)


def request_again(
    source: Source, *, image: Any = None, name: str | None = None, **changes: Any
) -> GenerationRequest:
    """Return the request that makes an image again.

    The prompt is taken as the text encoder saw it: nothing is put into it once more. Into one that
    is given anew, the subject is, as `make_request` does.
    """
    from lensa.like import request_like

    packed_image = None if image is None else base64.b64decode(packed(image))
    found = request_like(source, image=packed_image).model_dump(exclude_unset=True)
    if changes.get("quality") or changes.get("few_step"):
        for field in ("steps", "scheduler", "guided"):
            found.pop(field, None)
    for field in ("prompt", "negative_prompt"):
        if changes.get(field):
            changes[field] = with_subject(changes[field], [] if name is None else [name])
    return GenerationRequest(**{**found, **changes})


def packed(image: Any) -> str:
    """Return a picture to begin with as base64: upright, without metadata, no larger than an
    image can be asked for.

    `image` is a path, bytes, or a PIL image. The same one always gives the same text. Raises
    ConfigError if it cannot be read.
    """
    from PIL import Image

    from lensa.photos.formats import Unusable
    from lensa.photos.reading import read_picture

    shown, suffix = "the image", ""
    if isinstance(image, str | Path):
        path = Path(image)
        shown, suffix = str(path), path.suffix
        try:
            image = path.read_bytes()
        except (OSError, ValueError) as error:  # ValueError: no file has such a name
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"{path} cannot be read: {reason}.") from None
    if not isinstance(image, bytes | Image.Image):
        raise ConfigError(
            f"generation: image is a {type(image).__name__}; give a file, its bytes or a picture."
        )
    given = image
    try:
        picture = read_picture(
            lambda: io.BytesIO(given) if isinstance(given, bytes) else given, suffix, 16
        ).image
    except Unusable as unusable:
        raise ConfigError(f"{shown} cannot be used: {unusable.reason}.") from None
    picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    for options in ({"format": "PNG"}, {"format": "JPEG", "quality": 95}):
        stream = io.BytesIO()
        picture.save(stream, **options)
        text = base64.b64encode(stream.getvalue()).decode()
        if len(text) <= _PACKED:
            break
    return text
