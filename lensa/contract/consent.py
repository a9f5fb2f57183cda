"""That somebody said yes to the photos' leaving their machine: when, to what, and how."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from lensa.contract._model import Contract


class Consent(Contract):
    """Recorded in the avatar's manifest. It names nobody."""

    title: ClassVar[str] = "consent"

    given: Literal["asked", "call"]  # an answer to a question, or the call itself, after a notice
    at: datetime
    photos: int = Field(ge=0)  # class photos included
    destination: str
