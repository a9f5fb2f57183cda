"""The user's names for subjects, on this machine: `subjects/<id>/subject.json` below the home.

Everywhere else a subject goes by its id.
"""

from __future__ import annotations

import json
from pathlib import Path

from lensa.backends.base import Subject
from lensa.backends.disk import make_folder, storage, write_whole
from lensa.backends.locks import Lock
from lensa.contract.names import new_subject_id


def known(home: Path) -> list[Subject]:
    """Return every subject that has a name here."""
    return [
        Subject(name=json.loads(path.read_bytes())["name"], id=path.parent.name)
        for path in sorted((home / "subjects").glob("*/subject.json"))
    ]


def named(home: Path, name: str) -> Subject | None:
    """Return the subject of a name, or None."""
    return next((subject for subject in known(home) if subject.name == name), None)


def find_subject(home: Path, subject_id: str) -> Subject:
    """Return the subject of an id; its name is the id if it was forgotten."""
    by_id = {subject.id: subject for subject in known(home)}
    return by_id.get(subject_id, Subject(name=subject_id, id=subject_id))


def subject_of(home: Path, name: str) -> Subject:
    """Return the subject of a name. A new one gets a random id."""
    with _lock(home):
        return named(home, name) or _write(home, Subject(name=name, id=new_subject_id()))


def remember(home: Path, subject: Subject) -> None:
    """Write down a subject that was met elsewhere."""
    with _lock(home):
        _write(home, subject)


def _lock(home: Path) -> Lock:
    return Lock(home / "subjects" / ".lock")  # two clients must not give one name two ids


def _write(home: Path, subject: Subject) -> Subject:
    folder = make_folder(home / "subjects" / subject.id)
    with storage(folder):
        write_whole(folder / "subject.json", json.dumps({"name": subject.name}).encode())
    return subject
