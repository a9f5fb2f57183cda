"""Will these photos do? The coach's judgement of a set that was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lensa.photos.finding import Finding, Severity
from lensa.photos.measure import Measured
from lensa.photos.rules.copies import copies
from lensa.photos.rules.next_shots import next_shots
from lensa.photos.rules.people import mix, people
from lensa.photos.rules.quality import quality
from lensa.photos.rules.variety import FEW, FEWEST, variety

__all__ = ["Finding", "Report", "Severity", "Verdict", "advise"]

Verdict = Literal["ready", "will work", "will disappoint"]

_HIDES = {"blurred", "dark", "blown_out"}
_COPIES = {"duplicate", "near_duplicate", "burst", "mirrored"}
_WITHOUT_DETECTOR = (
    "Nobody looked for faces: nothing is said of who is in the photos or how near. "
    "pip install 'lensa[photos]' finds faces, 'lensa[faces]' also tells people apart."
)


@dataclass(frozen=True)
class Report:
    """What the coach says of a set of photos."""

    kind: str
    verdict: Verdict
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]  # what stops first
    mix: dict[str, int]  # framing -> photos; empty where nobody looked for faces
    next_shots: tuple[str, ...]
    detector: str | None
    unreadable: dict[str, str]  # file -> why it was left out
    photos: tuple[Measured, ...] = field(repr=False)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Everything but what identifies a face: neither embeddings nor pixels nor hashes."""
        return {
            "kind": self.kind,
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "findings": [asdict(finding) for finding in self.findings],
            "mix": dict(self.mix),
            "next_shots": list(self.next_shots),
            "detector": self.detector,
            "unreadable": dict(self.unreadable),
            "notes": list(self.notes),
            "photos": [_photo_json(photo) for photo in self.photos],
        }


def advise(
    photos: Sequence[Measured],
    *,
    kind: str,
    size: int,
    unreadable: Mapping[str, str] = {},
) -> Report:
    """Judge a set. `size` is the base model's, in pixels a side; `kind` one of lensa.contract's."""
    human = kind == "person"
    findings = [finding for photo in photos for finding in quality(photo, size)]
    if human:
        hidden = {name for found in findings if found.code in _HIDES for name in found.photos}
        findings += people(photos, hidden)
    flawed = {name for finding in findings for name in finding.photos}
    findings += [*copies(photos, flawed), *variety(photos, kind)]
    findings.sort(key=lambda finding: finding.severity != "stop")
    detector = next((photo.detector for photo in photos if photo.detector), None)
    usable = _usable(photos, findings)
    verdict = _verdict(photos, usable, findings)
    return Report(
        kind=kind,
        verdict=verdict,
        reasons=_reasons(photos, usable, findings, unreadable),
        findings=tuple(findings),
        mix=mix(photos) if human else {},
        next_shots=next_shots(usable, kind, {finding.code for finding in findings}),
        detector=detector,
        unreadable=dict(unreadable),
        photos=tuple(photos),
        notes=(_WITHOUT_DETECTOR,) if human and photos and detector is None else (),
    )


def _usable(photos: Sequence[Measured], findings: Sequence[Finding]) -> list[Measured]:
    """Without the photos that stop, and one of each group of copies."""
    out = {name for finding in findings if finding.severity == "stop" for name in finding.photos}
    for finding in findings:
        if finding.code in _COPIES:
            left = [name for name in finding.photos if name not in out]
            out |= set(left[1:])
    return [photo for photo in photos if photo.name not in out]


def _verdict(
    photos: Sequence[Measured], usable: Sequence[Measured], findings: Sequence[Finding]
) -> Verdict:
    stops = {name for finding in findings if finding.severity == "stop" for name in finding.photos}
    whole = [finding for finding in findings if not finding.photos]
    if (
        len(usable) < FEWEST
        or any(finding.severity == "stop" for finding in whole)
        or len(stops) > len(photos) / 3
    ):
        return "will disappoint"
    flawed = {name for finding in findings for name in finding.photos}
    if stops or len(usable) < FEW or len(whole) > 2 or len(flawed) > len(photos) / 4:
        return "will work"
    return "ready"


def _reasons(
    photos: Sequence[Measured],
    usable: Sequence[Measured],
    findings: Sequence[Finding],
    unreadable: Mapping[str, str],
) -> tuple[str, ...]:
    """The verdict's, the gravest first: what is said of the set, and the findings counted."""
    reasons = [f"{len(usable)} of {len(photos)} photos do well" if photos else "there is no photo"]
    if unreadable:
        reasons.append(f"{_files(len(unreadable))} cannot be used")
    for severity, word in (("stop", "should not be used"), ("advise", "could be better")):
        chosen = [finding for finding in findings if finding.severity == severity]
        reasons += [finding.what for finding in chosen if not finding.photos]
        codes: dict[str, set[str]] = {}
        for finding in chosen:
            if finding.photos:
                codes.setdefault(finding.code, set()).update(finding.photos)
        if codes:
            names = set().union(*codes.values())
            listed = ", ".join(
                f"{code.replace('_', ' ')} {len(found)}" for code, found in codes.items()
            )
            reasons.append(f"{_files(len(names))} {word} ({listed})")
    return tuple(reasons)


def _files(count: int) -> str:
    return f"{count} {'photo' if count == 1 else 'photos'}"


def _photo_json(photo: Measured) -> dict[str, Any]:
    faces = None
    if photo.faces is not None:
        faces = [[round(x) for x in (f.left, f.top, f.width, f.height)] for f in photo.faces]
    return {
        "name": photo.name,
        "width": photo.width,
        "height": photo.height,
        "framing": photo.framing,
        "faces": faces,  # left, top, width, height
        "blur": None if photo.blur is None else round(photo.blur, 3),
        "subject_light": {k: round(v, 3) for k, v in asdict(photo.subject_light).items()},
        "taken": None if photo.taken is None else photo.taken.isoformat(),
    }
