"""What an endpoint is asked in these tests, and what it draws."""

from __future__ import annotations

import base64

from lensa.contract import GeneratedImage, GenerationRequest, GenerationResponse

NAME = "lensa-7k2m0000-1f3a9c2e"  # of an endpoint, and of the avatar


def answer(request: GenerationRequest) -> GenerationResponse:
    """Return what an endpoint draws: the data of image i says that it is image i."""
    images = tuple(
        GeneratedImage(
            data=base64.b64encode(bytes([i])).decode(),
            format=request.format,
            prompt=request.prompt,
            seed=request.seed or 0,
            index=i,
        )
        for i in range(request.index, request.index + request.count)
    )
    return GenerationResponse(avatar=NAME, request=request, images=images, seconds=1)
