"""What goes wrong with photos, on purpose."""

from __future__ import annotations

import io
import random

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps


def recompressed(photo: Image.Image, quality: int = 90) -> Image.Image:
    """As it comes out of a file."""
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def blurred(photo: Image.Image, rng: random.Random) -> Image.Image:
    """Out of focus, or shaken to the side."""
    if rng.random() < 0.5:
        return photo.filter(ImageFilter.GaussianBlur(rng.uniform(2.5, 5)))
    return photo.filter(ImageFilter.BoxBlur((rng.uniform(5, 9), 0.3)))


def dark(photo: Image.Image, rng: random.Random) -> Image.Image:
    return ImageEnhance.Brightness(photo).enhance(rng.uniform(0.12, 0.32))


def blown_out(photo: Image.Image, rng: random.Random) -> Image.Image:
    return ImageEnhance.Brightness(photo).enhance(rng.uniform(3.2, 4.5))


def low_contrast(photo: Image.Image, rng: random.Random) -> Image.Image:
    grey = Image.new("RGB", photo.size, (150, 150, 155))
    return Image.blend(photo, grey, rng.uniform(0.76, 0.88))


def small(photo: Image.Image, rng: random.Random) -> Image.Image:
    scale = rng.uniform(0.55, 0.9) * 256 / min(photo.size)
    return photo.resize((round(photo.width * scale), round(photo.height * scale)))


def border(photo: Image.Image, rng: random.Random) -> Image.Image:
    colour = rng.choice(["black", "white", "#20304a"])
    share = rng.uniform(0.05, 0.14)
    if rng.random() < 0.5:
        return ImageOps.expand(photo, (round(photo.width * share), 0), colour)
    return ImageOps.expand(photo, (0, round(photo.height * share)), colour)


def text(photo: Image.Image, rng: random.Random) -> Image.Image:
    """A caption, a date, a watermark."""
    photo = photo.resize((photo.width * 2, photo.height * 2), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(photo)
    height = round(photo.height * rng.uniform(0.04, 0.07))
    font = ImageFont.load_default(height)
    words = rng.choice(
        ["Happy birthday, Eileen!", "summer 2024 in Lisbon", "@lens.and.light", "2024-05-01 12:00"]
    )
    top = rng.choice([0.03, 0.5, 0.88]) * photo.height
    colour = rng.choice(["white", "white", "#ffd800", "black", "#ff3030"])
    outline = rng.choice([0, 2])
    draw.text(
        (photo.width * rng.uniform(0.04, 0.15), top),
        words,
        fill=colour,
        font=font,
        stroke_width=outline,
        stroke_fill="white" if colour == "black" else "black",
    )
    return photo


def screenshot(photo: Image.Image, rng: random.Random) -> Image.Image:
    """The photo in an app, on a telephone's screen."""
    width = 720
    shown = photo.resize((width, round(width * photo.height / photo.width)))
    back, ink = rng.choice([("white", "black"), ("#101014", "#f0f0f0")])
    head = round(width * rng.uniform(0.2, 0.3))
    screen = Image.new("RGB", (width, shown.height + head + round(width * 0.3)), back)
    screen.paste(shown, (0, head))
    draw = ImageDraw.Draw(screen)
    draw.text((30, 10), "12:41    LTE   87%", fill=ink, font=ImageFont.load_default(34))
    draw.text((110, head - 70), "eileen_collins  Follow", fill=ink, font=ImageFont.load_default(40))
    foot = head + shown.height
    for place in range(4):
        draw.ellipse((30 + 90 * place, foot + 20, 80 + 90 * place, foot + 70), outline=ink, width=5)
    likes = f"Liked by {rng.randint(20, 999)} others"
    draw.text((30, foot + 100), likes, fill=ink, font=ImageFont.load_default(36))
    return screen


def mirrored(photo: Image.Image, rng: random.Random) -> Image.Image:
    return ImageEnhance.Brightness(ImageOps.mirror(photo)).enhance(rng.uniform(0.92, 1.08))


def duplicate(photo: Image.Image, rng: random.Random) -> Image.Image:
    """Sent by a messenger: smaller and packed again."""
    scale = max(rng.uniform(0.75, 0.95), 260 / min(photo.size))
    size = (round(photo.width * scale), round(photo.height * scale))
    return recompressed(photo.resize(size, Image.Resampling.LANCZOS), quality=75)


def near_duplicate(photo: Image.Image, rng: random.Random) -> Image.Image:
    """Cropped a little and made lighter."""
    x, y = (round(side * rng.uniform(0.01, 0.03)) for side in photo.size)
    cropped = photo.crop((x, y, photo.width - x // 2, photo.height - y // 2))
    return ImageEnhance.Brightness(cropped).enhance(rng.uniform(0.9, 1.12))


def moment_later(photo: Image.Image, rng: random.Random) -> Image.Image:
    """The next one of a burst: the camera and the subject moved a little."""
    x, y = (round(side * rng.uniform(0.04, 0.09)) for side in photo.size)
    box = (rng.choice([0, x]), rng.choice([0, y]))
    cropped = photo.crop((*box, box[0] + photo.width - x, box[1] + photo.height - y))
    return cropped.rotate(rng.uniform(-3, 3), Image.Resampling.BICUBIC, fillcolor=(90, 90, 90))
