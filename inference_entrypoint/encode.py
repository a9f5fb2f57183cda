"""Images into PNG, JPEG or WebP, with what it takes to make them again.

The text has the form that AUTOMATIC1111's web UI writes and that its readers show: in a PNG's text
chunk "parameters", in JPEG and WebP as EXIF UserComment. No time and no path goes in: the same
request gives the same bytes. `lensa.like` makes a request of it again.
"""

from __future__ import annotations

import hashlib
import json
from io import BytesIO
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from inference_entrypoint.order import Result
from inference_entrypoint.starting_image import content
from lensa.contract.generation import GenerationRequest, ImageFormat, Scheduler

QUALITY = 92  # of JPEG and WebP: no artefacts that an eye finds

_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286
_MAX_JPEG_EXIF = 65_000  # bytes: one segment, less what is around the text

# As A1111 calls them. "default" is called by its class: DDIM as a base's own is not our "ddim".
_SAMPLERS: dict[Scheduler | None, str] = {
    "ddim": "DDIM",
    "ddim-trailing": "DDIM trailing",
    "dpm++": "DPM++ 2M",
    "dpm++-karras": "DPM++ 2M Karras",
    "euler": "Euler",
    "lcm": "LCM",
}

_NEGATIVE = "Negative prompt"


def parameters(result: Result, position: int, *, avatar: str = "", model: str = "") -> str:
    """Return the description of `result.images[position]` in A1111's form.

    `avatar` and `model`, the base, are written by their names. A prompt that A1111's three parts
    cannot hold (several lines, control characters) stands among the fields as well, quoted: its
    readers, as ours, take that one.
    """
    request, prompt = result.request, result.prompts[position]
    fields = _fields(result, position)
    if avatar:
        fields["Avatar"] = avatar
    if model:
        fields["Model"] = model
    if not _plain(prompt):
        fields["Prompt"] = prompt
    shown = _one_line(prompt)
    lines = ["" if shown.startswith(f"{_NEGATIVE}:") else shown]
    if request.negative_prompt and (request.guidance_scale or 0) > 1:
        lines.append(f"{_NEGATIVE}: {_one_line(request.negative_prompt)}")
        if not _plain(request.negative_prompt):
            fields[_NEGATIVE] = request.negative_prompt
    lines.append(", ".join(f"{key}: {_quoted(value)}" for key, value in fields.items()))
    return "\n".join(lines)


def encode(image: Image.Image, format: ImageFormat, text: str = "") -> bytes:
    """Return the encoded file. `text` is kept in it, any Unicode.

    A text that does not fit into a JPEG (65,000 bytes as UTF-16) is left out.
    """
    stream = BytesIO()
    if format == "png":
        info = PngInfo()
        if text:
            info.add_text("parameters", text)  # iTXt where the text is not Latin-1
        image.save(stream, "PNG", pnginfo=info)
    else:
        exif = Image.Exif()
        comment = b"UNICODE\0" + text.encode("utf-16-be")
        if text and (format != "jpeg" or len(comment) <= _MAX_JPEG_EXIF):
            exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = comment
        image.save(stream, format.upper(), quality=QUALITY, exif=exif)
    return stream.getvalue()


def read_parameters(image: Image.Image) -> str | None:
    """Return the text that `encode` kept in an opened image, or None."""
    text = image.info.get("parameters")
    if isinstance(text, str):
        return text
    comment = image.getexif().get_ifd(_EXIF_IFD).get(_USER_COMMENT)
    if isinstance(comment, bytes) and comment.startswith(b"UNICODE\0"):
        return comment[8:].decode("utf-16-be")
    return None


def _fields(result: Result, position: int) -> dict[str, Any]:
    """Return the line of settings: what differs from an ordinary image only where it does."""
    request = result.request
    width, height = result.images[position].size
    fields: dict[str, Any] = {
        "Steps": request.steps,
        "Sampler": _SAMPLERS.get(request.scheduler, result.scheduler),
        "CFG scale": _number(request.guidance_scale),
        "Seed": result.seeds[position],
        "Size": f"{width}x{height}",
        "Index": result.indices[position],  # noise is made of (seed, index)
    }
    if request.guided is not None and request.guided < 1:
        fields["Guided"] = _number(request.guided)  # share of the steps, the first ones
    if request.few_step is not None:
        fields["Few step"] = request.few_step
    if request.tiny_decoder:
        fields["Tiny decoder"] = True
    if request.image is not None:
        fields["Denoising strength"] = _number(request.strength)
        fields["Init image hash"] = _digest(request)
    if request.face_detail:
        fields["Face detail"] = True
    if request.adapter_scale != 1:
        fields["Adapter scale"] = _number(request.adapter_scale)
    if request.blend:
        fields["Blend"] = ", ".join(
            f"{name}:{_number(scale)}" for name, scale in request.blend.items()
        )
    if not request.subject:
        fields["Subject"] = False
    return fields


def _digest(request: GenerationRequest) -> str:
    """Return the first 16 digits of the sha256 of the file that the request begins with."""
    assert request.image is not None
    return hashlib.sha256(content(request.image)).hexdigest()[:16]


def _number(value: float | None) -> str:
    """Return the shortest text that reads back as the same number."""
    if value is None:
        return "1"
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def _quoted(value: Any) -> str:
    """Return a field's value, as JSON where A1111's readers would not find its end."""
    text = str(value)
    if any(sign in text for sign in ',:"') or _one_line(text) != text:
        return json.dumps(text, ensure_ascii=False)
    return text


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _plain(text: str) -> bool:
    """Whether a line of its own gives the text back, to A1111 and to us."""
    return _one_line(text) == text and not text.startswith(f"{_NEGATIVE}:")
