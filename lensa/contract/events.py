"""The lines that a training job prints: one JSON object each, here and in CloudWatch."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

Stage = Literal[
    "uploading",
    "submitting",
    "installing",
    "loading",
    "class_images",
    "training",
    "validating",
    "exporting",
    "gallery",
]


class _Event(BaseModel):
    # A newer container may say more than an older client knows: extra fields are kept, not refused.
    model_config = ConfigDict(extra="allow", frozen=True)

    def line(self) -> str:
        """The event as it is printed."""
        return json.dumps(self.model_dump(mode="json"), separators=(",", ":"))


class StageEvent(_Event):
    event: Literal["stage"] = "stage"
    stage: Stage
    message: str = ""


class ProgressEvent(_Event):
    event: Literal["progress"] = "progress"
    stage: Stage = "training"
    step: int
    of: int
    loss: float | None = None
    learning_rate: float | None = None
    images_per_second: float | None = None
    eta_seconds: float | None = None


class CheckpointEvent(_Event):
    event: Literal["checkpoint"] = "checkpoint"
    step: int


class ValidationEvent(_Event):
    event: Literal["validation"] = "validation"
    step: int
    images: list[str]  # paths below the checkpoints folder
    # As a Measurement has them; None: not measured.
    likeness: float | None = None
    likeness_floor: float | None = None
    likeness_ceiling: float | None = None
    retention: float | None = None
    memorisation: float | None = None
    class_drift: float | None = None
    fid: float | None = None
    kid: float | None = None


class NoticeEvent(_Event):
    """Something the user should know, in words."""

    event: Literal["notice"] = "notice"
    message: str


class PhaseEvent(_Event):
    """Where the job is in its platform's hands. The backend says it, not the job itself."""

    event: Literal["phase"] = "phase"
    # starting, downloading, training, uploading, interrupted, stopping; completed, stopped, failed
    phase: str
    seconds: float = 0.0  # since the job was created, until it ended
    dollars: float | None = None  # so far, for spot at most; in the end as billed; None: not known
    message: str = ""


class EndEvent(_Event):
    event: Literal["end"] = "end"
    status: Literal["completed", "stopped", "failed"]
    step: int = 0
    message: str = ""
    error: str = ""  # the name of one of lensa.errors, if the failure is one


Event = (
    StageEvent
    | ProgressEvent
    | CheckpointEvent
    | ValidationEvent
    | NoticeEvent
    | PhaseEvent
    | EndEvent
)

_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def parse_event(line: str) -> Event | None:
    """Return the event on a log line, or None for any other line."""
    if not line.startswith('{"event":'):
        return None
    try:
        return _EVENT.validate_json(line)
    except ValidationError:
        return None
