"""What `lensa doctor` found: everything that stands in the way, and what it would take and cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from lensa.backends.base import Backend
from lensa.backends.findings import Finding, Status, failed, ok
from lensa.bases import resolve_base
from lensa.contract import BaseModelRef, TrainingConfig
from lensa.costs import forecast, price, span
from lensa.errors import ConfigError, LensaError
from lensa.settings import Settings

if TYPE_CHECKING:
    from lensa.backends.sagemaker.backend import SagemakerBackend
    from lensa.backends.sagemaker.hosting.options import DeployOptions
    from lensa.photos.examine import Examined

__all__ = ["Diagnosis", "Estimate", "diagnose"]

Purpose = Literal["train", "deploy"]

SIGNS: dict[Status, str] = {"ok": "ok", "failed": "FAILED", "unknown": "unknown", "skipped": "-"}
COLOURS: dict[Status, str] = {
    "ok": "#2e7d32",
    "failed": "#c62828",
    "unknown": "#e69500",
    "skipped": "#757575",
}


@dataclass(frozen=True)
class Estimate:
    """Time and price, in seconds and US dollars. None: nobody can tell, or there is no end."""

    words: str
    instance_type: str
    seconds: float | None
    dollars: float | None
    hourly: float | None
    source: str  # of the price

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Diagnosis:
    """Every finding. It shows itself on a terminal and in a notebook."""

    title: str
    findings: tuple[Finding, ...]
    estimate: Estimate | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is known to stand in the way."""
        return not self.failures

    @property
    def failures(self) -> list[Finding]:
        return [one for one in self.findings if one.status == "failed"]

    @property
    def verdict(self) -> str:
        """The end of the matter, in a line."""
        count = len(self.failures)
        if count:
            things = "1 thing stands" if count == 1 else f"{count} things stand"
            return f"{things} in the way."
        unknowns = [one.name for one in self.findings if one.status == "unknown"]
        if unknowns:
            return f"Nothing is known to stand in the way. Not known: {', '.join(unknowns)}."
        return "Nothing stands in the way."

    def __str__(self) -> str:
        width = max((len(one.name) for one in self.findings), default=0)
        lines = [self.title]
        for one in self.findings:
            first, *rest = one.text.splitlines()
            lines.append(f"{SIGNS[one.status]:<8}{one.name:<{width}}  {first}")
            lines += [" " * (10 + width) + line for line in rest]
        if self.estimate is not None:
            lines.append(f"Estimate: {self.estimate.words}")
        return "\n".join([*lines, self.verdict])

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "title": self.title,
            "findings": [
                {"name": one.name, "status": one.status, "words": one.words, "mend": one.mend}
                for one in self.findings
            ],
            "estimate": self.estimate.to_json() if self.estimate else None,
        }

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr style="vertical-align:top"><td style="color:{COLOURS[one.status]}">'
            f"<b>{SIGNS[one.status]}</b></td><td>{escape(one.name)}</td>"
            f'<td style="text-align:left">{escape(one.words)}'
            + "".join(f"<br><code>{escape(line)}</code>" for line in one.mend.splitlines())
            + "</td></tr>"
            for one in self.findings
        )
        estimate = f"<p>Estimate: {escape(self.estimate.words)}</p>" if self.estimate else ""
        return (
            '<div style="font-family:sans-serif;font-size:13px">'
            f"<p>{escape(self.title)}</p><table>{rows}</table>{estimate}"
            f"<p><b>{escape(self.verdict)}</b></p></div>"
        )


def diagnose(
    settings: Settings,
    backend: Backend,
    purpose: Purpose,
    *,
    base: str,
    photos: Callable[[], Examined] | None,
    configure: Callable[[int | None], TrainingConfig],
    options: dict[str, Any],
) -> Diagnosis:
    """Ask everything, on this machine or in the account, and return what was found.

    Args:
        base: what the user calls the base model.
        photos: looks at the photos, if there are any.
        configure: returns a training's configuration for so many photos.
        options: those of an endpoint, for purpose "deploy".

    Raises ConfigError for a recipe or options that cannot be.
    """
    ref, trouble = _base(base)
    own, count = _photos(photos) if photos is not None else ([], None)
    if backend.name == "local":
        from lensa.backends.local.checks import findings

        if options:
            raise ConfigError(f"{min(options)} is an option of backend='sagemaker'.")
        found = findings(settings.home_path, ref)
        return Diagnosis(f"To {purpose} on this machine", (*found, *trouble, *own))
    from lensa.backends.sagemaker.backend import SagemakerBackend

    assert isinstance(backend, SagemakerBackend)
    config = configure(count) if ref is not None and purpose == "train" else None
    found, estimate = _in_the_account(settings, backend, purpose, ref, config, options)
    return Diagnosis(f"To {purpose} on SageMaker", (*found, *trouble, *own), estimate)


def _in_the_account(
    settings: Settings,
    backend: SagemakerBackend,
    purpose: Purpose,
    base: BaseModelRef | None,
    config: TrainingConfig | None,
    options: dict[str, Any],
) -> tuple[list[Finding], Estimate | None]:
    from lensa.backends.sagemaker.hosting.options import DeployOptions
    from lensa.backends.sagemaker.options import over
    from lensa.backends.sagemaker.preflight import findings
    from lensa.backends.sagemaker.preflight.needs import of_hosting, of_training

    if purpose == "deploy":
        hosting = over(DeployOptions, settings.deploy, options)
        need = of_hosting(settings, hosting, base)
    else:
        need = of_training(settings, backend.options, base, config.vae if config else None)
    found = findings(
        backend.account, lambda: backend.bucket, settings.home_path, need, thorough=True
    )
    try:
        if purpose == "deploy":
            return found, _hosting(backend, hosting)
        return found, None if config is None else _training(backend, config)
    except LensaError:
        return found, None  # without a region, which is among the findings


def _base(name: str) -> tuple[BaseModelRef | None, list[Finding]]:
    try:
        return resolve_base(name), []
    except LensaError as error:
        mend = "Name another one (--base): lensa train --help says what it may be."
        return None, [failed("base model", str(error), mend, type(error))]


def _photos(look: Callable[[], Examined]) -> tuple[list[Finding], int | None]:
    """Return what the coach says, and how many photos there are."""
    from lensa.photos.showing.words import stop_lines, verdict_line

    mend = "lensa check PHOTOS shows all there is to say about them."
    try:
        examined = look()
    except LensaError as error:
        return [failed("photos", str(error), mend, type(error))], None
    count = len(examined.photo_set.photos)
    verdict = verdict_line(examined.report, count)
    if examined.stopped:
        stops = "; ".join(stop_lines(examined.report))
        mend = f"{mend} To train all the same: --anyway."
        return [failed("photos", f"{verdict} ({stops})", mend)], count
    return [ok("photos", verdict)], count


def _training(backend: SagemakerBackend, config: TrainingConfig) -> Estimate:
    kind = backend.options.instance_type
    quote = backend.quote(kind)
    hourly, source = (quote.dollars, quote.source) if quote else (None, "")
    seconds = backend.longest_seconds(hourly)
    expected = forecast(config, kind, hourly, seconds)
    words = expected.words(source)
    if backend.options.spot:
        words += "; spot costs less, and waits for capacity"
    return Estimate(words, kind, expected.total_seconds, expected.dollars, hourly, source)


def _hosting(backend: SagemakerBackend, options: DeployOptions) -> Estimate:
    from lensa.backends.sagemaker.prices import quote as asked

    kind, kept = options.instance_type, options.lifetime
    quote = asked(backend.account, kind, "Hosting")
    seconds = None if kept is None else kept.total_seconds()
    if quote is None:
        return Estimate(f"the price of {kind} is not known", kind, seconds, None, None, "")
    machines = options.max_instances
    dollars = None if seconds is None else price(seconds, machines * quote.dollars)
    until = (
        f"until it is deleted, which is ${24 * machines * quote.dollars:.2f} a day"
        if seconds is None
        else f"${dollars:.2f} for its {span(seconds)}"
    )
    words = f"{until} ({kind}: {quote})"
    if options.asynchronous:
        each = "its machine" if machines == 1 else f"all {machines} machines"
        words = (
            f"at most {words}, with {each} at work all the time; while it has nothing to do, it "
            "has no machine and costs nothing"
        )
    return Estimate(words, kind, seconds, dollars, quote.dollars, quote.source)
