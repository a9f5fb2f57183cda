"""Before photos leave the machine: say what would, and get a yes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from lensa.backends.base import Backend, TrainingPlan
from lensa.contract.consent import Consent
from lensa.contract.events import Event, NoticeEvent
from lensa.errors import UserError
from lensa.photos.showing.upload import Upload


def consented(
    backend: Backend,
    plan: TrainingPlan,
    confirm: Callable[[Upload], bool] | None,
    on_event: Callable[[Event], None] | None,
) -> TrainingPlan:
    """Return the plan with the consent to upload its photos; as it is if they stay here.

    `confirm` is told what would be uploaded and answers. Without it the call is the consent, and
    the same is said to `on_event`, else on stderr. Raises UserError for a no.
    """
    place = backend.destination()
    if place is None:
        return plan
    where, expiry = place
    upload = Upload.of(
        plan.photos, plan.class_photos, plan.concepts, destination=where, expiry=expiry
    )
    if confirm is not None:
        if not confirm(upload):
            raise UserError("Nothing was uploaded, and nothing was started.")
    elif on_event is not None:
        on_event(NoticeEvent(message="\n".join(upload.lines())))
    else:
        print(*upload.lines(), sep="\n", file=sys.stderr)
    consent = Consent(
        given="call" if confirm is None else "asked",
        at=datetime.now(UTC),
        photos=upload.photos + upload.class_photos,
        destination=where,
    )
    return replace(plan, consent=consent)
