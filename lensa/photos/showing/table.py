"""The coach's report on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lensa.photos.coach import Report
from lensa.photos.photoset import PhotoSet
from lensa.photos.showing.words import (
    SEVERITY_COLOURS,
    VERDICT_COLOURS,
    faces_word,
    findings_of,
    groups,
    mix_line,
    reason_lines,
    told,
    verdict_line,
    worst,
)


def print_report(console: Console, photos: PhotoSet, report: Report) -> None:
    """Print a row a photo, each finding with what, why and what to do, and the verdict.

    Names and texts are printed as they are, whatever rich's markup would make of them.
    """
    console.print(_table(report))
    for name, reason in photos.rejected.items():
        console.print(Text.assemble(("left out: ", "dim"), f"{name}: {reason}"))
    for group in groups(report.findings):
        colour = f"bold {SEVERITY_COLOURS[group.severity]}"
        console.print(Text.assemble((f"{group.severity:<7}", colour), (group.code, "bold")))
        for finding in group.findings:
            _print_line(console, "what", told(finding.photos, finding.what))
        _print_line(console, "why", group.why)
        _print_line(console, "do", group.do)
    if mix := mix_line(report):
        console.print(Text.assemble(("framing: ", "dim"), mix))
    for note in (*photos.notes, *report.notes):
        console.print(Text.assemble(("note: ", "dim"), note))
    style = f"bold {VERDICT_COLOURS[report.verdict]}"
    console.print(Text(verdict_line(report, len(photos.photos)), style))
    for reason in reason_lines(report):
        console.print(Text(f"  {reason}"))
    if report.next_shots:
        console.print(Text("What to shoot next:", "bold"))
        for shot in report.next_shots:
            console.print(Text(f"  {shot}"))


def _print_line(console: Console, label: str, text: str) -> None:
    console.print(Text.assemble((f"       {label:<5}", "dim"), text))


def _table(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("photo", no_wrap=True, overflow="ellipsis")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("faces", justify="right")
    table.add_column("findings")
    for photo in report.photos:
        findings = findings_of(report, photo.name)
        severity = worst(findings)
        codes = ", ".join(dict.fromkeys(finding.code for finding in findings))
        table.add_row(
            Text(photo.name),
            f"{photo.width} x {photo.height}",
            faces_word(photo),
            Text(codes or "good", SEVERITY_COLOURS[severity] if severity else "dim"),
        )
    return table
