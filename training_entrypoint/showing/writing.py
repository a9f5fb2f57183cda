"""Puts what a training shows beside the avatar: metrics.jsonl, validation/, chart, report.

An avatar is worth more than its report: what goes wrong here is said, and left out.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from lensa.contract import AvatarManifest, Layout
from lensa.contract.measures import CHART_FILE, METRICS_FILE, REPORT_FILE, VALIDATION_FOLDER
from training_entrypoint.showing.chart import Panel, as_png, as_svg, panels
from training_entrypoint.showing.gathering import Shown, gather
from training_entrypoint.showing.report import report
from training_entrypoint.tracking.journal import Journal


def write(
    folder: Path,
    manifest: AvatarManifest,
    layout: Layout,
    *,
    journal: Journal,
    photos: Sequence[Path] = (),
    notices: Sequence[str] = (),
    machine: str = "",
    say: Callable[[str], None] = lambda message: None,
) -> None:
    """Write what is shown into an avatar's folder, its samples drawn already, before its files are
    listed in `avatar.json`. Raises nothing: `say` is told what is left out, and why.
    """

    def attempt(name: str, write: Callable[[], None]) -> None:
        try:
            write()
        except Exception as error:  # whatever it is, the avatar is worth more
            say(f"{name} is left out: {str(error).strip() or type(error).__name__}")

    def everything() -> None:
        shown = gather(folder, manifest, layout, journal, photos, notices, machine)
        drawn, curves = _panels(shown), ""

        def chart() -> None:
            if drawn or shown.strip:
                png = as_png(drawn, manifest.choice, shown.strip)
                _put(folder / CHART_FILE, png)

        def page() -> None:
            nonlocal curves
            with suppress(Exception):  # what is wrong with it was said of the chart
                curves = as_svg(drawn, manifest.choice) if drawn else ""
            _put(folder / REPORT_FILE, report(shown, curves).encode())

        attempt(METRICS_FILE, lambda: _put(folder / METRICS_FILE, _metrics(shown)))
        attempt(f"{VALIDATION_FOLDER}/", lambda: _put_all(folder, _strip(shown)))
        attempt(CHART_FILE, chart)
        attempt(REPORT_FILE, page)

    attempt("the report", everything)


def _panels(shown: Shown) -> list[Panel]:
    floor = shown.manifest.config.retention_floor
    return panels(shown.measurements, shown.journal.curve("loss"), floor)


def _metrics(shown: Shown) -> bytes:
    return "".join(f"{each.model_dump_json()}\n" for each in shown.measurements).encode()


def _strip(shown: Shown) -> Iterator[tuple[str, bytes]]:
    """The small images of the strip, by their paths."""
    for step, images in shown.strip.items():
        for number, image in enumerate(images):
            stream = io.BytesIO()
            image.save(stream, "PNG")
            yield f"{VALIDATION_FOLDER}/step-{step:06d}/{number}.png", stream.getvalue()


def _put_all(folder: Path, files: Iterator[tuple[str, bytes]]) -> None:
    for path, content in files:
        _put(folder / path, content)


def _put(file: Path, content: bytes) -> None:
    """Write a file that has something in it, whole or not at all."""
    if not content:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        file.write_bytes(content)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
