"""Times as a person says them."""

from __future__ import annotations

from datetime import UTC, datetime

MINUTE, HOUR, DAY = 60, 3600, 86_400


def span(seconds: float) -> str:
    """Return "3 days 4 h", "1 h 40 min" or "12 min"."""
    left = max(round(seconds), 0)
    if left >= DAY:
        days, hours = left // DAY, left % DAY // HOUR
        return f"{days} day{'' if days == 1 else 's'}" + (f" {hours} h" if hours else "")
    if left >= HOUR:
        return f"{left // HOUR} h {left % HOUR // MINUTE} min"
    return f"{left // MINUTE} min" if left >= MINUTE else "less than a minute"


def end_words(end: datetime | None, *, forever: bool, now: datetime | None = None) -> str:
    """Return "in 1 h 40 min (2026-11-22 01:30)", "forever", or that there is none."""
    if end is None:
        return "forever" if forever else "NO END"
    left = (end - (now or datetime.now(UTC))).total_seconds()
    when = f"{end.astimezone():%Y-%m-%d %H:%M}"
    return f"in {span(left)} ({when})" if left > 0 else f"{span(-left)} ago ({when})"
