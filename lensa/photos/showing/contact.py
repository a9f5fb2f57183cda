"""A contact sheet with the coach's marks, as one picture."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from lensa.photos.coach import Report
from lensa.photos.measure import Measured
from lensa.photos.photoset import Photo, PhotoSet
from lensa.photos.showing.picture import seen
from lensa.photos.showing.words import (
    GREEN,
    SEVERITY_COLOURS,
    VERDICT_COLOURS,
    findings_of,
    mix_line,
    reason_lines,
    verdict_line,
    worst,
)

_CELL, _GAP, _MARGIN, _EDGE, _COLUMNS = 176, 14, 24, 5, 5
_LINE, _LABEL = 14, 3 * 14 + 4  # a name and two lines of codes
_INK, _FAINT, _PAPER, _BOX = "#1c1c1c", "#6b6b6b", "#fbfaf7", "#00e5ff"
_MOST_REASONS = 6


def contact_sheet(photos: PhotoSet, report: Report) -> Image.Image:
    """Draw what the model will see of each photo, at most five in a row.

    Its edge is red where a finding stops, amber where one advises, else green; faces that were seen
    are boxed; below it are its name and the codes of its findings. The verdict is on top.
    """
    measured = {photo.name: photo for photo in report.photos}
    left_out = [f"left out: {name}: {why}" for name, why in photos.rejected.items()]
    below = left_out[:_MOST_REASONS]
    if len(left_out) > _MOST_REASONS:
        below.append(f"left out: {len(left_out) - _MOST_REASONS} more")
    rows = -(-len(photos.photos) // _COLUMNS)
    width = 2 * _MARGIN + _COLUMNS * _CELL + (_COLUMNS - 1) * _GAP
    top = _MARGIN + 52
    height = top + rows * (_CELL + _LABEL + _GAP) + len(below) * (_LINE + 2) + _MARGIN
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _write(draw, (_MARGIN, _MARGIN), verdict_line(report, len(photos.photos)), 18,
           VERDICT_COLOURS[report.verdict], width - 2 * _MARGIN)  # fmt: skip
    why = "; ".join(reason_lines(report)) or mix_line(report)
    _write(draw, (_MARGIN, _MARGIN + 26), why, 13, _FAINT, width - 2 * _MARGIN)
    for index, photo in enumerate(photos.photos):
        row, column = divmod(index, _COLUMNS)
        left = _MARGIN + column * (_CELL + _GAP)
        place = (left, top + row * (_CELL + _LABEL + _GAP))
        _draw_photo(sheet, draw, place, photo, measured.get(photo.name), report)
    for index, line in enumerate(below):
        place = (_MARGIN, height - _MARGIN - (len(below) - index) * (_LINE + 2))
        _write(draw, place, line, 12, _FAINT, width - 2 * _MARGIN)
    return sheet


def _draw_photo(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    photo: Photo,
    measured: Measured | None,
    report: Report,
) -> None:
    left, top = place
    sheet.paste(seen(photo).resize((_CELL, _CELL), Image.Resampling.BICUBIC), place)
    for x, y, right, bottom in face_boxes(photo, measured):
        box = (left + x * _CELL, top + y * _CELL, left + right * _CELL, top + bottom * _CELL)
        draw.rectangle(box, outline=_BOX, width=2)
    findings = findings_of(report, photo.name)
    severity = worst(findings)
    colour = SEVERITY_COLOURS[severity] if severity else GREEN
    frame = (left, top, left + _CELL - 1, top + _CELL - 1)
    draw.rectangle(frame, outline=colour, width=_EDGE)
    _write(draw, (left, top + _CELL + 3), photo.name, 12, _INK, _CELL)
    codes = [f"{finding.severity}: {finding.code}" for finding in findings]
    if len(codes) > 2:
        codes[1:] = [f"and {len(codes) - 1} more"]
    for line, code in enumerate(codes, start=1):
        _write(draw, (left, top + _CELL + 3 + line * _LINE), code, 11, colour, _CELL)


def face_boxes(photo: Photo, measured: Measured | None) -> list[tuple[float, float, float, float]]:
    """Return the faces within the kept square: (left, top, right, bottom), each from 0 to 1."""
    if measured is None or not measured.faces or not photo.side:
        return []
    boxes = []
    for face in measured.faces:
        left, top = face.left - photo.box[0], face.top - photo.box[1]
        corners = (left, top, left + face.width, top + face.height)
        x, y, right, bottom = (min(max(corner / photo.side, 0.0), 1.0) for corner in corners)
        if right > x and bottom > y:
            boxes.append((x, y, right, bottom))
    return boxes


def _write(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    size: int,
    colour: str,
    width: int,
) -> None:
    """Write one line, cut to its width."""
    font = ImageFont.load_default(size)
    if draw.textlength(text, font) > width:
        while text and draw.textlength(f"{text}...", font) > width:
            text = text[:-1]
        text = f"{text}..."
    draw.text(place, text, colour, font=font)
