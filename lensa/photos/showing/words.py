"""What the table, the sheet and the page share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lensa.photos.coach import Report
from lensa.photos.finding import Finding, Severity
from lensa.photos.measure import Measured

RED, AMBER, GREEN = "#c62828", "#e69500", "#2e7d32"
VERDICT_COLOURS = {"ready": GREEN, "will work": AMBER, "will disappoint": RED}
SEVERITY_COLOURS: dict[Severity, str] = {"stop": RED, "advise": AMBER}

_FEW = 6  # names in a row before the rest are counted


def findings_of(report: Report, name: str) -> list[Finding]:
    """The findings about one photo, those that stop first."""
    return in_order(finding for finding in report.findings if name in finding.photos)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Those that stop first; otherwise as the coach gave them."""
    return sorted(findings, key=lambda finding: finding.severity != "stop")


def worst(findings: Sequence[Finding]) -> Severity | None:
    if not findings:
        return None
    return "stop" if any(finding.severity == "stop" for finding in findings) else "advise"


def faces_word(photo: Measured) -> str:
    """How many faces were seen; empty where nobody looked."""
    return "" if photo.faces is None else str(len(photo.faces))


def told(photos: Sequence[str], what: str) -> str:
    """What was found and where, unless the text itself says where, or it is the whole set."""
    if not photos or photos[0] in what:
        return what
    return f"{about(photos)}: {what}"


def about(photos: Sequence[str]) -> str:
    """A list of photos, cut to a few."""
    names = ", ".join(photos[:_FEW])
    more = len(photos) - _FEW
    return f"{names} and {more} more" if more > 0 else names


@dataclass(frozen=True)
class Group:
    """Findings of one kind: what was found differs, why and what to do is the same."""

    severity: Severity
    code: str
    why: str
    do: str
    findings: tuple[Finding, ...]

    @property
    def photos(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for one in self.findings for name in one.photos))

    def line(self) -> str:
        """All of it in one line."""
        each = list(dict.fromkeys(one.what for one in self.findings))
        what = each[0] if len(each) == 1 else self.code.replace("_", " ")
        return f"{told(self.photos, what)}. {self.do}"


def groups(findings: Iterable[Finding]) -> list[Group]:
    """Put together what needs saying once, what stops first."""
    found: dict[tuple[Severity, str, str, str], list[Finding]] = {}
    for one in in_order(findings):
        found.setdefault((one.severity, one.code, one.why, one.do), []).append(one)
    return [Group(*key, tuple(members)) for key, members in found.items()]


def verdict_line(report: Report, usable: int) -> str:
    """The verdict in one line."""
    return f"{usable} {'photo' if usable == 1 else 'photos'}: {report.verdict}"


def reason_lines(report: Report) -> list[str]:
    """Why the verdict is what it is."""
    return [reason for reason in report.reasons if reason]


def mix_line(report: Report) -> str:
    """How the subject is framed over the set; empty where nobody looked for faces."""
    return ", ".join(f"{count} {framing}" for framing, count in report.mix.items())


def advice_lines(report: Report) -> tuple[str, ...]:
    """What does not stop, in a line each: for those who train anyway."""
    return tuple(group.line() for group in groups(report.findings) if group.severity == "advise")


def stop_lines(report: Report) -> tuple[str, ...]:
    """What stops, in a line each."""
    return tuple(group.line() for group in groups(report.findings) if group.severity == "stop")
