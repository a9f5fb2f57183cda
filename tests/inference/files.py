"""Files as an endpoint answers with them, without drawing for it."""

from __future__ import annotations

import base64

from PIL import Image

from inference_entrypoint.encode import encode, parameters
from inference_entrypoint.order import Result
from lensa.contract.generation import GeneratedImage, GenerationRequest, ImageFormat

AVATAR, OTHER = "lensa-7k2m0000-1f3a9c2e", "lensa-8k2m0000-2f3a9c2e"
FORMATS: list[ImageFormat] = ["png", "jpeg", "webp"]


def written(result: Result, position: int = 0, format: ImageFormat = "png") -> bytes:
    """The file that an endpoint answers with."""
    return encode(result.images[position], format, parameters(result, position, avatar=AVATAR))


def answered(content: bytes, format: ImageFormat = "png") -> GeneratedImage:
    data = base64.b64encode(content).decode()
    return GeneratedImage(data=data, format=format, prompt="", seed=0, index=0)


def with_text(text: str, format: ImageFormat = "png") -> GeneratedImage:
    return answered(encode(Image.new("RGB", (32, 32)), format, text), format)


def undrawn(prompt: str, negative: str = "") -> Result:
    """What generating returns for a prompt that was seen as this; no image is drawn for it."""
    request = GenerationRequest(
        prompt="", negative_prompt=negative, steps=3, guidance_scale=7.5, scheduler="ddim"
    )
    return Result(
        images=[Image.new("RGB", (16, 16))],
        prompts=[prompt],
        seeds=[9],
        indices=[4],
        unsafe=[False],
        seed=9,
        scheduler="DDIMScheduler",
        request=request,
    )


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
