"""Images into PNG, JPEG or WebP, with what it takes to make them again.

The text has the form that AUTOMATIC1111's web UI writes and that its readers show: in a PNG's text
chunk "parameters", in JPEG and WebP as EXIF UserComment. No time and no path goes in: the same
request gives the same bytes.
"""

from __future__ import annotations

from io import BytesIO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from inference_entrypoint.generate import Result
from lensa.contract.generation import ImageFormat

QUALITY = 92  # of JPEG and WebP: no artefacts that an eye finds

_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286

_SAMPLERS = {  # as A1111 calls them
    "DDIMScheduler": "DDIM",
    "DPMSolverMultistepScheduler": "DPM++ 2M",
    "EulerDiscreteScheduler": "Euler",
    "PNDMScheduler": "PLMS",
}


def parameters(result: Result, position: int, *, avatar: str = "") -> str:
    """Return the description of `result.images[position]` in A1111's form."""
    request = result.request
    width, height = result.images[position].size
    fields = {
        "Steps": request.steps,
        "Sampler": _SAMPLERS.get(result.scheduler, result.scheduler),
        "CFG scale": f"{request.guidance_scale:g}",
        "Seed": result.seed,
        "Size": f"{width}x{height}",
        "Index": result.indices[position],  # noise is made of (seed, index)
    }
    if request.adapter_scale != 1:
        fields["Adapter scale"] = f"{request.adapter_scale:g}"
    if avatar:
        fields["Avatar"] = avatar
    lines = [result.prompts[position]]
    if request.negative_prompt and request.guidance_scale > 1:
        lines.append(f"Negative prompt: {' '.join(request.negative_prompt.split())}")
    lines.append(", ".join(f"{key}: {value}" for key, value in fields.items()))
    return "\n".join(lines)


def encode(image: Image.Image, format: ImageFormat, text: str = "") -> bytes:
    """Return the encoded file. `text` is kept in it, any Unicode."""
    stream = BytesIO()
    if format == "png":
        info = PngInfo()
        if text:
            info.add_text("parameters", text)  # iTXt where the text is not Latin-1
        image.save(stream, "PNG", pnginfo=info)
    else:
        exif = Image.Exif()
        if text:
            exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + text.encode("utf-16-be")
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
