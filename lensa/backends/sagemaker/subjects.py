"""The user's names for subjects: on this machine, and in the bucket for every other one."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lensa.backends import subjects
from lensa.backends.base import Subject
from lensa.backends.sagemaker import keys
from lensa.backends.sagemaker.transfer import Blob, Store
from lensa.contract.names import SUBJECT_ID, new_subject_id
from lensa.errors import ArtifactError

_THREADS = 8


def subject_of(home: Path, store: Store, name: str) -> Subject:
    """Return the subject of a name: known here, known in the bucket, or new.

    Machines that begin with a new name at the same moment get one id. Raises ArtifactError if what
    the bucket holds of the name is no id.
    """
    if (known := subjects.named(home, name)) is not None:
        return known
    for subject in in_bucket(store):
        if subject.name == name:
            subjects.remember(home, subject)
            return subject
    subject = Subject(name=name, id=_claimed(store, name, new_subject_id()))
    subjects.remember(home, subject)
    return subject


def _claimed(store: Store, name: str, own: str) -> str:
    """Return the id of a new name: `own`, or that of whoever was quicker and is still uploading."""
    key = keys.subject_name(name)
    while not store.write(key, json.dumps({"id": own}).encode(), if_absent=True):
        if (content := store.read(key)) is None:
            continue  # it was deleted just then
        try:
            found = json.loads(content)["id"]
            if SUBJECT_ID.fullmatch(found):
                return str(found)
        except (ValueError, KeyError, TypeError):
            pass
        raise ArtifactError(
            f"{store.bucket.uri(key)} holds no subject's id: delete it, and start again."
        )
    return own


def find(home: Path, store: Store, subject_id: str) -> Subject:
    """Return the subject of an id; its name is the id where nobody knows it any more."""
    local = subjects.find_subject(home, subject_id)
    if local.name != subject_id:
        return local
    content = store.read(keys.subject(subject_id))
    if content is None:
        return local
    subject = Subject(name=_name(content) or subject_id, id=subject_id)
    subjects.remember(home, subject)
    return subject


def in_bucket(store: Store) -> list[Subject]:
    """Return every subject that the bucket knows."""
    found = [item.key for item in store.list("subjects/") if item.key.endswith("/subject.json")]
    with ThreadPoolExecutor(_THREADS) as pool:
        contents = list(pool.map(store.read, found))
    return [
        Subject(name=name, id=key.split("/")[1])
        for key, content in zip(found, contents, strict=True)
        if content is not None and (name := _name(content))
    ]


def blob(subject: Subject) -> Blob:
    """Return what the bucket keeps of a subject's name."""
    return Blob(keys.subject(subject.id), json.dumps({"name": subject.name}).encode())


def _name(content: bytes) -> str:
    try:
        return str(json.loads(content)["name"])
    except (ValueError, KeyError, TypeError):
        return ""
