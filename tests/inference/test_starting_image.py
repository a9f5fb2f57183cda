"""Images that begin with an image: what is taken, and where in the schedule it comes in."""

from __future__ import annotations

import base64
import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline
from making import difference, draw, micro
from photos.profiles import display_p3
from PIL import Image

from inference_entrypoint.families import family_of
from inference_entrypoint.samplers import make_scheduler
from inference_entrypoint.starting_image import MAX_PIXELS, encode_image, read_image
from lensa.contract.generation import Scheduler
from lensa.errors import ConfigError


def base64_of(image: Image.Image, format: str = "PNG", **options: Any) -> str:
    stream = BytesIO()
    image.save(stream, format, **options)
    return base64.b64encode(stream.getvalue()).decode()


def quarters(width: int = 64, height: int = 64) -> Image.Image:
    """Red, green, blue and white, clockwise from the left top."""
    image = Image.new("RGB", (2, 2))
    for place, colour in enumerate(("red", "lime", "white", "blue")):
        image.putpixel((place % 2, place // 2), Image.new("RGB", (1, 1), colour).getpixel((0, 0)))
    return image.resize((width, height), Image.Resampling.NEAREST)


def corners(image: Image.Image) -> list[Any]:
    right, bottom = image.width - 4, image.height - 4
    return [image.getpixel(place) for place in ((4, 4), (right, 4), (right, bottom), (4, bottom))]


RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


FORMATS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"quality": 100, "subsampling": 0},
    "WEBP": {"lossless": True},
}


@pytest.mark.parametrize("format", FORMATS)
def test_three_formats_are_read(format: str) -> None:
    read = read_image(base64_of(quarters(), format, **FORMATS[format]), 64, 64)
    assert (read.mode, read.size) == ("RGB", (64, 64))
    assert difference(read, quarters()) <= (4 if format == "JPEG" else 0)


def test_base64_may_be_on_many_lines() -> None:
    stream = BytesIO()
    quarters().save(stream, "PNG")
    data = base64.encodebytes(stream.getvalue()).decode()
    assert read_image(data, 64, 64).tobytes() == quarters().tobytes()


def test_it_is_cropped_in_the_middle_and_brought_to_size() -> None:
    wide = Image.new("RGB", (192, 64), "black")
    wide.paste(quarters(), (64, 0))
    assert corners(read_image(base64_of(wide), 64, 64)) == [RED, GREEN, BLUE, WHITE]
    assert read_image(base64_of(wide), 32, 64).size == (32, 64)


def test_it_is_turned_upright_and_its_metadata_is_gone() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    exif[0x010F] = "Phonemaker"
    lying = base64_of(quarters(), "JPEG", exif=exif, **FORMATS["JPEG"], comment=b"private")
    read = read_image(lying, 64, 64)
    turned = quarters().transpose(Image.Transpose.ROTATE_270)
    assert difference(read, turned) <= 4
    assert not read.info and not dict(read.getexif())


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1", "I;16", "CMYK"])
def test_every_kind_of_pixel_becomes_rgb(mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((32, 32), 257 * 200, np.uint16))
    else:
        image = Image.new("RGB", (32, 32), (200, 200, 200))
        image = image.quantize(4) if mode == "P" else image.convert(mode)
    read = read_image(base64_of(image, "JPEG" if mode == "CMYK" else "PNG"), 32, 32)
    grey = np.asarray(read)
    assert grey.shape == (32, 32, 3)
    assert mode == "1" or np.abs(grey.astype(int) - 200).max() <= 4


def test_what_is_transparent_becomes_white() -> None:
    clear = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    assert read_image(base64_of(clear), 32, 32).getpixel((5, 5)) == WHITE


def test_the_colours_of_a_phone_become_srgb() -> None:
    photo = Image.new("RGB", (32, 32), (180, 60, 60))
    read = read_image(base64_of(photo, icc_profile=display_p3()), 32, 32)
    red, green, blue = read.getpixel((5, 5))
    assert red > 185 and green < 55 and blue < 60  # P3's red is the redder one
    for damaged in (b"no profile", display_p3()[:200]):
        assert read_image(base64_of(photo, icc_profile=damaged), 32, 32).getpixel((5, 5)) == (
            180,
            60,
            60,
        )


def png_header(width: int, height: int) -> str:
    """A PNG that says how large it is and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data)
    return base64.b64encode(content + chunk(b"IEND", b"")).decode()


def animated(format: str) -> str:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    return base64_of(frames[0], format, save_all=True, append_images=frames[1:])


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


REFUSED = {
    "nothing": ("", "empty"),
    "no base64": ("not base64!", "not base64"),
    "no ascii": ("ünïcode", "not base64"),
    "a url": ("https://example.org/a.png", "no URL"),
    "text": (encoded(b"hello, world"), "no PNG, JPEG or WebP"),
    "svg": (encoded(b'<?xml version="1.0"?><svg xmlns="x"/>'), "SVG"),
    "gif": (base64_of(Image.new("P", (32, 32)), "GIF"), "no PNG"),
    "a single pixel": (base64_of(Image.new("RGB", (1, 1))), "1 x 1 px is too small"),
    "a bomb": (png_header(20_000, 20_000), "400 megapixels"),
    "a long bomb": (png_header(2**31 - 1, 16), "megapixels"),
    "no pixels": (png_header(0, 64), "too small|damaged"),
    "half of a png": (base64_of(quarters(), "PNG")[:120] + "AAAA", "damaged"),
    "half of a jpeg": (base64_of(quarters(512, 512), "JPEG")[:2000], "damaged"),
    "half of a webp": (base64_of(quarters(512, 512), "WEBP")[:120], "damaged"),
    "a head alone": (encoded(b"\x89PNG\r\n\x1a\n"), "damaged"),
    "an animated png": (animated("PNG"), "animated"),
    "an animated webp": (animated("WEBP"), "animated"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_usable_picture_is_refused_in_one_line(case: str) -> None:
    data, words = REFUSED[case]
    with pytest.raises(ConfigError, match=f"^generation: image: .*({words})") as refusal:
        read_image(data, 64, 64)
    assert "\n" not in str(refusal.value)


def test_a_jpeg_of_endless_passes_is_refused() -> None:
    stream = BytesIO()
    Image.new("RGB", (5000, 5000)).save(stream, "JPEG", progressive=True)
    content = stream.getvalue()
    scan = content.rindex(b"\xff\xda")
    with pytest.raises(ConfigError, match="too many passes"):
        read_image(encoded(content[:-2] + content[scan:-2] * 100 + b"\xff\xd9"), 64, 64)


def test_a_picture_of_the_most_pixels_is_taken() -> None:
    side = int(MAX_PIXELS**0.5)
    flat = Image.new("L", (side, side), 7)
    assert read_image(base64_of(flat, compress_level=1), 64, 64).getpixel((0, 0)) == (7, 7, 7)


def test_the_same_image_gives_the_same_latents_in_the_shape_that_is_drawn() -> None:
    pipeline, image = micro(), quarters(64, 32)
    latents = encode_image(pipeline, image)
    assert latents.shape == family_of(pipeline).latent_shape(pipeline, 64, 32)
    assert latents.dtype == torch.float32
    assert torch.equal(latents, encode_image(pipeline, image))
    assert not torch.equal(latents, encode_image(pipeline, Image.new("RGB", (64, 32))))


SCHEDULERS: list[Scheduler] = ["default", "ddim", "dpm++", "dpm++-karras", "euler"]


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("strength", [0.3, 0.7])
def test_it_draws_what_diffusers_would_draw(name: Scheduler, strength: float) -> None:
    """The same walk as its image-to-image pipeline, from the same latents and noise."""
    pipeline, steps = micro(), 10
    family = family_of(pipeline)
    latents = encode_image(pipeline, quarters(32, 32))
    prompts = family.encode_prompts(pipeline, ["a hat"]).detach()
    parts = {**pipeline.components, "safety_checker": None, "feature_extractor": None}
    parts["scheduler"] = make_scheduler(pipeline.scheduler, name)
    theirs = StableDiffusionImg2ImgPipeline(**parts, requires_safety_checker=False)
    theirs.set_progress_bar_config(disable=True)
    expected = theirs(
        prompt_embeds=prompts,
        image=latents[None],
        strength=strength,
        num_inference_steps=steps,
        guidance_scale=1,
        generator=torch.Generator().manual_seed(3),
        output_type="latent",
    ).images
    with torch.no_grad():
        ours = family.denoise(
            pipeline,
            scheduler=make_scheduler(pipeline.scheduler, name),
            prompts=prompts,
            negatives=None,
            noise=torch.randn((1, *latents.shape), generator=torch.Generator().manual_seed(3)),
            generators=[torch.Generator()],
            steps=steps,
            guidance_scale=1,
            start=latents[None],
            strength=strength,
        )
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_the_less_strength_the_more_of_the_image_stays() -> None:
    """Two images come the nearer to each other, the more of them is drawn anew."""
    one, other = base64_of(quarters()), base64_of(quarters().rotate(90))
    apart = [
        np.subtract(*(np.asarray(drawn.images[0], dtype=float) for drawn in pair)).std()
        for strength in (0.1, 0.5, 1.0)
        for pair in [
            [draw(micro(), image=image, strength=strength, steps=10) for image in (one, other)]
        ]
    ]
    assert apart[0] > apart[1] > apart[2] > 0


def test_what_cannot_be_begun_with_is_refused_before_anything_is_drawn() -> None:
    with pytest.raises(ConfigError, match="generation: image: it is no PNG"):
        draw(micro(), image=encoded(b"hello, world"))
