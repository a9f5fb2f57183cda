"""What is looked at before anything is paid, and what was found there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from lensa.errors import AccountError, LensaError

log = logging.getLogger("lensa")

Status = Literal["ok", "failed", "unknown", "skipped"]
# unknown: it could not be asked, which stops nothing; skipped: there was no reason to ask.

_THREADS = 12


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    name: str
    status: Status
    words: str
    mend: str = ""  # of a failure: the command, the setting or the page that ends it
    kind: type[LensaError] = AccountError  # what it is raised as if it stands alone

    @property
    def text(self) -> str:
        return f"{self.words}\n{self.mend}" if self.mend else self.words


@dataclass(frozen=True)
class Check:
    """A question that has an answer: `run` raises nothing."""

    name: str
    run: Callable[[], Finding]


def ok(name: str, words: str) -> Finding:
    return Finding(name, "ok", words)


def failed(name: str, words: str, mend: str, kind: type[LensaError] = AccountError) -> Finding:
    return Finding(name, "failed", words, mend, kind)


def unknown(name: str, words: str, mend: str = "") -> Finding:
    return Finding(name, "unknown", words, mend)


def skipped(name: str, words: str) -> Finding:
    return Finding(name, "skipped", words)


def look(checks: Sequence[Check]) -> list[Finding]:
    """Run checks at the same time; return what they found in their order."""
    if not checks:
        return []
    with ThreadPoolExecutor(min(_THREADS, len(checks))) as pool:
        return list(pool.map(lambda check: check.run(), checks))


def require(findings: Iterable[Finding]) -> None:
    """Raise one error that says everything that failed and how each is mended.

    A failure that stands alone is raised as its own kind, several together as an AccountError.
    What is unknown stops nothing.
    """
    found = list(findings)
    for one in found:
        if one.status == "unknown":
            log.debug("not checked: %s: %s", one.name, one.words)
    failures = [one for one in found if one.status == "failed"]
    if not failures:
        return
    if len(failures) == 1:
        alone = failures[0]
        gap = "\n" if "\n" in alone.mend else " "
        raise alone.kind(f"{alone.words}{gap}{alone.mend}".strip())
    lines = [f"{len(failures)} things stand in the way. Nothing was uploaded or started."]
    for one in failures:
        first, *rest = one.text.splitlines()
        lines += [f"- {one.name}: {first}", *(f"  {line}" for line in rest)]
    raise AccountError("\n".join(lines))
