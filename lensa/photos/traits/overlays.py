"""What somebody, or a telephone, put around or over a picture: bars, panels, text."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageChops

_SIDE = 512  # of the longer side, in pixels
_TEXT_SIDE = 768  # text of 3 percent of it has strokes of two or three pixels
_REACH = 6  # pixels: a stroke is thinner
_CONTRAST = 48  # of 255, of a stroke with what is left and right of it
_SAME = 10  # of 255: of one colour
_WINDOW = 160  # pixels: text is looked for in pieces of this width
_STROKES = 5  # beside one another in one row of a window
_ONE_COLOUR = 0.38  # of the strokes' pixels; what is printed on things is shaded
_EXACTLY = 3  # of 255
_BEGINS = b"\0\xff"  # a stroke, in a row of the mask
_TALLEST = 64  # rows of a line of text
_ROWS = 5  # of strokes above one another make a line of text
_BAR = 0.025  # of the side: what is thinner is a frame nobody minds


@dataclass(frozen=True)
class Overlays:
    """Shares of the picture's height or width."""

    bars: tuple[float, float, float, float]  # left, top, right, bottom: of one colour, cut straight
    panels: float  # rows that are mostly of one flat colour from edge to edge, as in an app
    text: int  # lines of text


def overlays(image: Image.Image) -> Overlays:
    """Look for them in an RGB picture."""
    grey = _within(image, _SIDE).convert("L")
    turned = grey.transpose(Image.Transpose.TRANSPOSE)
    mirrored = turned.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    upside_down = grey.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return Overlays(
        bars=(_bar(turned), _bar(grey), _bar(mirrored), _bar(upside_down)),
        panels=_panels(grey),
        text=_lines(_within(image, _TEXT_SIDE)),
    )


def _within(image: Image.Image, side: int) -> Image.Image:
    scale = min(1.0, side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BOX)


def _rows(grey: Image.Image) -> list[bytes]:
    raw, width = grey.tobytes(), grey.width
    return [raw[start : start + width] for start in range(0, len(raw), width)]


def _bar(grey: Image.Image) -> float:
    """How much of the height is a bar of one colour at the top, ended by a straight line."""
    rows = _rows(grey)
    colour = sorted(rows[0])[len(rows[0]) // 2]
    high = 0
    for row in rows:
        if _share_near(row, colour) < 0.97:
            break
        high += 1
    if high < _BAR * len(rows) or high > 0.45 * len(rows):
        return 0.0
    below = rows[min(high + 1, len(rows) - 1)]  # the row between may be half of each
    return high / len(rows) if _share_near(below, colour, _SAME * 2) < 0.4 else 0.0


def _panels(grey: Image.Image) -> float:
    """The share of rows that are of one colour, in runs that begin or end at a straight line."""
    rows = _rows(grey)
    total = run = 0
    colour = -1
    for row, after in zip(rows, [*rows[1:], b""], strict=True):
        here = sorted(row[::8])[len(row) // 16]
        flat = _share_near(row, here, 4) > 0.6 and _share_near(row[:4] + row[-4:], here, 4) > 0.9
        run = run + 1 if flat and abs(here - colour) <= 4 else int(flat)
        colour = here
        if flat and (not after or _share_near(after, here, _SAME) < 0.5) and run >= 8:
            total += run
            run = 0
    return total / len(rows)


def _share_near(row: bytes, colour: int, by: int = _SAME) -> float:
    low, high = max(0, colour - by), min(255, colour + by)
    return len(row.translate(None, _all_but(low, high))) / len(row)


def _all_but(low: int, high: int) -> bytes:
    return bytes([*range(low), *range(high + 1, 256)])


def _lines(image: Image.Image) -> int:
    """How many pieces of text: rows of thin strokes, all of exactly one colour."""
    lines = 0
    grey = image.convert("L")
    for sign in (grey, ImageChops.invert(grey)):
        strokes = _strokes(sign)
        for left in range(0, max(1, image.width - _WINDOW // 2), _WINDOW // 2):
            column = (left, 0, min(left + _WINDOW, image.width), image.height)
            window, colours = strokes.crop(column), image.crop(column).split()
            for top, bottom in _dense(window):
                box = (0, top, window.width, bottom)
                shares = [_largest_share(part.crop(box), window.crop(box)) for part in colours]
                lines += min(shares) > _ONE_COLOUR
    return lines


def _largest_share(channel: Image.Image, mask: Image.Image) -> float:
    """Of the pixels under a mask, those that are of the most common value, or very near."""
    histogram = channel.histogram(mask)
    width = 2 * _EXACTLY + 1
    return max(sum(histogram[value : value + width]) for value in range(256)) / sum(histogram)


def _dense(strokes: Image.Image) -> list[tuple[int, int]]:
    """The runs of rows, from and to, that have several strokes; two rows between may have fewer."""
    runs: list[tuple[int, int]] = []
    start = last = -9
    many = 0
    for y, row in enumerate([*_rows(strokes), b"", b"", b"", b""]):
        if row.count(_BEGINS) >= _STROKES:
            if y - last > 3:
                start, many = y, 0
            last, many = y, many + 1
        elif y - last == 3 and many >= _ROWS and last - start < _TALLEST:
            runs.append((start, last + 1))
    return runs


def _strokes(grey: Image.Image) -> Image.Image:
    """Where a pixel is lighter than what is a little to its left and to its right: 255, or 0."""
    left = ImageChops.subtract(grey, ImageChops.offset(grey, _REACH, 0))
    right = ImageChops.subtract(grey, ImageChops.offset(grey, -_REACH, 0))
    both = ImageChops.darker(left, right)
    return both.point([0 if value < _CONTRAST else 255 for value in range(256)])
