"""What has become of each row: shown while it goes on, written down in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["pending", "starting", "waiting", "running", "done", "failed"]

ENDED = frozenset({"done", "failed"})


@dataclass
class Outcome:
    """One row's. It is changed by the thread that works on the row, and by no other."""

    line: int
    subject: str
    asked: int  # images
    status: Status = "pending"
    detail: str = ""  # of the status: "training 40/800"
    job: str | None = None
    avatar: str | None = None
    seconds: float | None = None  # of the job; None: not known
    dollars: float | None = None  # None: not known
    images: list[str] = field(default_factory=list)  # paths below the folder of the batch
    missing: str | None = None  # how many were asked for beside these, and what draws them
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    began: float | None = None  # of a job of this machine, by time.monotonic

    @property
    def told(self) -> str:
        """What there is to say of the status, in a line."""
        return self.error.splitlines()[0] if self.error else self.detail

    def to_json(self) -> dict[str, Any]:
        return {
            "line": self.line,
            "subject": self.subject,
            "status": self.status,
            "job": self.job,
            "avatar": self.avatar,
            "seconds": None if self.seconds is None else round(self.seconds, 1),
            "dollars": self.dollars,
            "asked": self.asked,
            "images": self.images,
            "missing": self.missing,
            "notes": self.notes,
            "error": self.error,
        }
