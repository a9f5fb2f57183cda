"""The coach's report as HTML for a notebook: one piece, nothing loaded from elsewhere."""

from __future__ import annotations

import io
from base64 import b64encode
from html import escape

from PIL import Image

from lensa.photos.coach import Report
from lensa.photos.measure import Measured
from lensa.photos.photoset import Photo, PhotoSet
from lensa.photos.showing.contact import face_boxes
from lensa.photos.showing.picture import seen
from lensa.photos.showing.words import (
    GREEN,
    SEVERITY_COLOURS,
    VERDICT_COLOURS,
    findings_of,
    groups,
    mix_line,
    reason_lines,
    told,
    verdict_line,
    worst,
)

_CELL = 160  # pixels


def page(photos: PhotoSet, report: Report) -> str:
    """Return the report with a small picture of each photo as the model will see it.

    The pictures are in the page: whoever gets the notebook gets them too.
    """
    measured = {photo.name: photo for photo in report.photos}
    colour = VERDICT_COLOURS[report.verdict]
    verdict = escape(verdict_line(report, len(photos.photos)))
    figures = "".join(_figure(photo, measured.get(photo.name), report) for photo in photos.photos)
    parts = [
        f'<p style="color:{colour};font-weight:bold;font-size:15px">{verdict}</p>',
        _list("Why", reason_lines(report)),
        f"<p>{escape(mix_line(report))}</p>" if report.mix else "",
        f"<div>{figures}</div>",
        _findings(report),
        _list("What to shoot next", report.next_shots),
        _list("Left out", [f"{name}: {why}" for name, why in photos.rejected.items()]),
        _list("Notes", (*photos.notes, *report.notes)),
    ]
    return f'<div style="font-family:sans-serif;font-size:13px">{"".join(parts)}</div>'


def _figure(photo: Photo, measured: Measured | None, report: Report) -> str:
    findings = findings_of(report, photo.name)
    severity = worst(findings)
    colour = SEVERITY_COLOURS[severity] if severity else GREEN
    boxes = "".join(
        f'<span style="position:absolute;box-sizing:border-box;border:2px solid #00e5ff;'
        f'left:{x:.1%};top:{y:.1%};width:{right - x:.1%};height:{bottom - y:.1%}"></span>'
        for x, y, right, bottom in face_boxes(photo, measured)
    )
    size = f"{measured.width} x {measured.height}" if measured else ""
    codes = ", ".join(dict.fromkeys(finding.code for finding in findings))
    return (
        f'<figure style="display:inline-block;vertical-align:top;margin:4px;width:{_CELL}px">'
        f'<div style="position:relative;border:4px solid {colour}">'
        f'<img alt="" style="display:block;width:100%" src="{_thumbnail(photo)}">{boxes}</div>'
        f'<figcaption style="overflow-wrap:anywhere">{escape(photo.name)}<br>{size}'
        f'<br><span style="color:{colour}">{escape(codes)}</span></figcaption></figure>'
    )


def _thumbnail(photo: Photo) -> str:
    buffer = io.BytesIO()
    small = seen(photo).resize((_CELL, _CELL), Image.Resampling.BICUBIC)
    small.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{b64encode(buffer.getvalue()).decode()}"


def _findings(report: Report) -> str:
    rows = "".join(
        f'<tr style="vertical-align:top"><td style="color:{SEVERITY_COLOURS[group.severity]}">'
        f"<b>{escape(group.severity)}</b></td><td>{escape(group.code)}</td><td>"
        + "<br>".join(escape(told(one.photos, one.what)) for one in group.findings)
        + f"</td><td>{escape(group.why)}</td><td>{escape(group.do)}</td></tr>"
        for group in groups(report.findings)
    )
    if not rows:
        return ""
    heads = "".join(f"<th>{head}</th>" for head in ("", "finding", "what", "why", "do"))
    return f'<table style="text-align:left"><tr>{heads}</tr>{rows}</table>'


def _list(title: str, lines: tuple[str, ...] | list[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<p><b>{title}</b></p><ul>{items}</ul>" if items else ""
