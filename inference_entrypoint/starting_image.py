"""The image that others begin with: read safely, brought to size, and encoded.

Its upright RGB pixels alone are read: nothing of its metadata goes any further. Where the schedule
takes the latents up is `samplers.begin_at`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from io import BytesIO

import numpy as np
import torch
from diffusers import DiffusionPipeline
from PIL import Image, ImageCms, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile
from torch import Tensor

from inference_entrypoint.families import family_of
from lensa.errors import ConfigError

MIN_SIDE = 16  # pixels, as the smallest image that can be asked for
MAX_PIXELS = 40_000_000  # half a gigabyte while it is decoded
_MAX_WORK = 2_000_000_000  # pixels of a progressive JPEG times its scans; cameras write up to 10

# The plugins' own classes rather than Image.open, which tries many more formats, and warns and
# refuses by a limit that belongs to the whole process.
_FORMATS: tuple[tuple[bytes, bytes, Callable[[BytesIO], Image.Image]], ...] = (
    (b"\x89PNG\r\n\x1a\n", b"", PngImageFile),
    (b"\xff\xd8\xff", b"", JpegImageFile),
    (b"RIFF", b"WEBP", WebPImageFile),
)


def content(data: str) -> bytes:
    """Return the bytes of base64, which may be on many lines. Raises ConfigError."""
    try:
        decoded = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):  # ValueError: not even ASCII
        raise _refused("it is not base64: send the file's bytes, encoded, and no URL") from None
    if not decoded:
        raise _refused("it is empty")
    return decoded


def read_image(data: str, width: int, height: int) -> Image.Image:
    """Return base64 of a PNG, JPEG or WebP as RGB of `width` x `height` px, upright, no metadata.

    It is cropped in the middle to the ratio of the sides; its colours become sRGB, and what is
    transparent white. Raises ConfigError for what is no picture, damaged, animated, or of too few
    or too many pixels: that is seen in the header, before anything is decoded.
    """
    encoded = content(data)
    try:
        with _opened(encoded) as image:
            _check(image, encoded)
            image.load()
            profile = image.info.get("icc_profile")
            upright = _plain(_turned(image))
    except ConfigError:
        raise
    except MemoryError:
        raise _refused("it does not fit into memory: send it smaller") from None
    except Exception:  # decoders raise all sorts of things, from struct.error to SyntaxError
        raise _refused("it is incomplete or damaged: save it anew as PNG or JPEG") from None
    fitted = ImageOps.fit(upright, (width, height), Image.Resampling.LANCZOS)
    # The pixels, and nothing that hung on them.
    return Image.fromarray(np.asarray(_to_srgb(fitted, profile)))


@torch.no_grad()
def encode_image(pipeline: DiffusionPipeline, image: Image.Image) -> Tensor:
    """Return an RGB image's latents [channels, rows, columns], scaled for the UNet, in float32.

    They are the mean of the VAE's posterior: the same image gives the same latents.
    """
    vae = family_of(pipeline).vae(pipeline)
    pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None]
    encoded = vae.encode((pixels / 127.5 - 1).to(vae.device, vae.dtype))
    # A tiny autoencoder (TAESD) has no posterior: what it encodes is the latent.
    latents = encoded.latent_dist.mean if hasattr(encoded, "latent_dist") else encoded.latents
    if vae.dtype == torch.float16 and not latents.isfinite().all():
        # Some VAEs overflow in half precision. This one will again: it stays in float32.
        vae.to(torch.float32)
        return encode_image(pipeline, image)
    return latents[0].float() * vae.config.scaling_factor


def _opened(encoded: bytes) -> Image.Image:
    for head, later, opener in _FORMATS:
        if encoded.startswith(head) and encoded[8:].startswith(later):
            return opener(BytesIO(encoded))
    if b"<svg" in encoded[:512]:
        raise _refused("it is an SVG drawing: export it as PNG")
    raise _refused("it is no PNG, JPEG or WebP: save it as one")


def _check(image: Image.Image, encoded: bytes) -> None:
    """Raise ConfigError for a picture that is not to be decoded, going by its header."""
    shown = f"{image.width} x {image.height} px"
    if min(image.size) < MIN_SIDE:
        raise _refused(f"{shown} is too small: both sides need {MIN_SIDE} px or more")
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise _refused(
            f"{shown} are {pixels // 1_000_000} megapixels, more than {MAX_PIXELS // 1_000_000}: "
            "send it smaller"
        )
    if getattr(image, "is_animated", False):
        raise _refused("it is animated: save the frame that is meant as PNG or JPEG")
    if image.format == "JPEG" and encoded.count(b"\xff\xda") * pixels > _MAX_WORK:
        raise _refused("a progressive JPEG of too many passes: save it as an ordinary one")


def _turned(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF does not make a damaged picture
        return image


def _plain(image: Image.Image) -> Image.Image:
    """Return RGB: 16-bit grey brought to 8, what is transparent laid on white."""
    if image.mode.startswith("I"):
        sixteen = np.asarray(image).astype(np.float32)
        return Image.fromarray((sixteen / 257).round().clip(0, 255).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    solid = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", solid.size, "white"), solid).convert("RGB")


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return RGB pixels as sRGB: phones write Display P3. A profile that does not fit is ignored,
    as browsers do."""
    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, source, srgb, outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return image


def _refused(reason: str) -> ConfigError:
    return ConfigError(f"generation: image: {reason}.")
