"""Where things lie in the bucket, below its prefix. Ids only: no key carries a subject's name."""

from __future__ import annotations

import re

from lensa.contract import MANIFEST, BaseModelRef
from lensa.contract.names import digest

AVATARS = "avatars"


def training_of(job: str) -> str:
    """Return a job's name without its attempt: "lensa-7k2m0000-1f3a9c2e" of "...-1f3a9c2e-2"."""
    head = job.split("-")[:3]
    return "-".join(head)


def attempt_of(job: str) -> int:
    """Return 1 for a first attempt, 2 for "...-2"."""
    parts = job.split("-")
    return int(parts[3]) if len(parts) > 3 else 1


def attempt(training: str, number: int) -> str:
    return training if number == 1 else f"{training}-{number}"


def subject_of(job: str) -> str:
    """Return the subject's id of a job."""
    return job.split("-")[1]


def code(digest: str, *, wheels: bool) -> str:
    """The bundle's folder; with its wheelhouse it has one of its own, which is larger."""
    return f"code/{digest[:32]}" + ("-wheels" if wheels else "")


def photos(subject_id: str) -> str:
    return f"photos/{subject_id}"


def subject(subject_id: str) -> str:
    return f"subjects/{subject_id}/subject.json"


def subject_name(name: str) -> str:
    """Which id a name has: written once, by the first machine that uses it."""
    return f"subjects/names/{digest(name)}.json"


def config(job: str) -> str:
    return f"jobs/{job}/config/training.json"


def photo_list(job: str) -> str:
    return f"jobs/{job}/photos.manifest"


def class_photos(subject_id: str) -> str:
    """Class images of the user's own: photos of other people, kept like photos."""
    return f"photos/{subject_id}/class"


def class_photo_list(job: str) -> str:
    return f"jobs/{job}/class_images.manifest"


def checkpoints(job: str) -> str:
    """All attempts at one training share them: the next goes on where the last one ended."""
    return f"checkpoints/{training_of(job)}"


def model(job: str) -> str:
    """The avatar's files, where SageMaker puts what it finds in /opt/ml/model."""
    return f"{AVATARS}/{job}/output/model"


def manifest(job: str) -> str:
    return f"{model(job)}/{MANIFEST}"


def base(ref: BaseModelRef, revision: str) -> str:
    safe = re.sub(r"[^A-Za-z0-9._-]+", "--", ref.name)
    return f"bases/{safe}/{revision}"


def class_images(digest: str) -> str:
    return f"class-images/{digest}"


def endpoint(name: str) -> str:
    """All that an endpoint is made of; it goes with the endpoint."""
    return f"endpoints/{name}"


def served(name: str, digest: str) -> str:
    """What becomes /opt/ml/model: the code, and the avatars that the endpoint begins with."""
    return f"{endpoint(name)}/models/{digest}"


def shelf(name: str) -> str:
    """The avatars that were added to an endpoint later: it fetches them when they are asked for."""
    return f"{endpoint(name)}/avatars"


def asynchronous(name: str) -> str:
    """The requests and answers of an asynchronous endpoint."""
    return f"async/{name}"


def answers(name: str) -> str:
    return f"{asynchronous(name)}/answers"


def failures(name: str) -> str:
    return f"{asynchronous(name)}/failures"
