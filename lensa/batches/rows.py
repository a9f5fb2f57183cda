"""Rows that are checked: whose photos, which training, which images. Nothing is started here.

Everything that is wrong, in whichever row, is told at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensa.bases import resolve_base
from lensa.batches.asking import Asked, asked_for
from lensa.batches.columns import COLUMNS, IMAGES, OPTIONS, TEXTS, column_name
from lensa.batches.raw import RawRow
from lensa.batches.reading import read_rows
from lensa.client import Client
from lensa.contract import KINDS, TrainingConfig
from lensa.contract.names import check_subject
from lensa.errors import ConfigError, LensaError, suggest

if TYPE_CHECKING:
    from lensa.photos.showing.upload import Upload

_TOLD = 50  # mistakes


@dataclass(frozen=True)
class Row:
    """One person of the list, ready to be trained."""

    line: int
    subject: str
    photos: str  # a path, or an address in S3
    asked: Asked  # of images
    config: TrainingConfig  # with a placeholder for the subject
    upload: Upload  # what would leave this machine, if it did
    options: dict[str, Any] = field(default_factory=dict)  # of Client.train


@dataclass(frozen=True)
class _Problem:
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        message = self.message.replace("\n", "\n      ")
        return f"line {self.line}{f', {self.field}' if self.field else ''}: {message}"


def check_file(
    client: Client,
    path: Path,
    defaults: Mapping[str, Any] | None = None,
    on_row: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """Return the rows of a file, each checked as `train` would check it, photos and all.

    `defaults` are for the rows that say nothing of a column. `on_row` is told how many rows are
    done, of how many. Raises ConfigError with everything that is wrong in any of them.
    """
    raw = read_rows(path)
    defaults = {column_name(name): value for name, value in (defaults or {}).items()}
    for name in defaults:
        if name not in COLUMNS or name in {"subject", "photos"}:
            raise ConfigError(f"batch: unknown field {name!r}.{suggest(name, COLUMNS)}")
    problems = list(_unknown(raw))
    rows: list[Row] = []
    first_line: dict[str, int] = {}  # of a subject
    for number, one in enumerate(raw):
        if on_row is not None:
            on_row(number, len(raw))
        cells = {name: value for name, value in one.cells.items() if name in COLUMNS}
        checker = _Checker(client, path.parent, one.line, {**defaults, **cells})
        row = checker.row(first_line)
        problems += checker.problems
        if row is not None:
            rows.append(row)
    if on_row is not None:
        on_row(len(raw), len(raw))
    if problems:
        _refuse(path, problems)
    return rows


def _unknown(raw: list[RawRow]) -> Iterator[_Problem]:
    """What no row may say: each column once, where it first stands."""
    seen: set[str] = set()
    for row in raw:
        for name in row.cells.keys() - COLUMNS - seen:
            seen.add(name)
            hint = suggest(name, COLUMNS) if len(name) < 60 else ""
            yield _Problem(row.line, name[:60], f"there is no such column.{hint}")


def _refuse(path: Path, problems: list[_Problem]) -> None:
    problems.sort(key=lambda problem: problem.line)
    told = [f"  {problem}" for problem in problems[:_TOLD]]
    if len(problems) > _TOLD:
        told.append(f"  and {len(problems) - _TOLD} more.")
    things = "one thing has" if len(problems) == 1 else f"{len(problems)} things have"
    lines = "\n".join(told)
    raise ConfigError(f"{path}: {things} to change, and nothing was started:\n{lines}")


class _Checker:
    """Looks at one row, and notes all that is wrong with it."""

    def __init__(self, client: Client, folder: Path, line: int, cells: dict[str, Any]) -> None:
        self.client, self.folder, self.line, self.cells = client, folder, line, cells
        self.problems: list[_Problem] = []

    def row(self, first_line: dict[str, int]) -> Row | None:
        """Return the row, or None if something is wrong. `first_line` is of the subjects so far."""
        for name in TEXTS & self.cells.keys():
            listed = isinstance(self.cells[name], list) and name == "styles"
            if not isinstance(self.cells[name], str) and not listed:
                self._note(name, "it is to be a text.")
                del self.cells[name]
        subject = self._subject(first_line)
        photos = self._photos()
        options = {
            name: value
            for name, value in self.cells.items()
            if name not in {*IMAGES, "subject", "photos"}
        }
        if "class_photos" in options:
            options["class_photos"] = self._place(options["class_photos"])
        asked = self._asked(subject or "")
        config = self._config({**options, "gallery": asked.items if asked is not None else ()})
        if photos is None:
            return None
        if config is None or subject is None or asked is None:
            self._look(photos, options)
            return None
        options["gallery"] = asked.items
        try:
            plan = self.client.prepare(photos, subject=subject, **options)
        except LensaError as error:
            self._note("photos", str(error))
            return None
        from lensa.photos.showing.upload import Upload

        if self.problems:
            return None
        upload = Upload.of(plan.photos, plan.class_photos)
        return Row(self.line, subject, photos, asked, plan.config, upload, options)

    def _note(self, field: str, message: str) -> None:
        self.problems.append(_Problem(self.line, field, message))

    def _subject(self, first_line: dict[str, int]) -> str | None:
        name = self.cells.get("subject")
        if name is None:
            self._note("subject", "it is missing.")
            return None
        try:
            check_subject(name)
        except ConfigError as error:
            self._note("subject", str(error))
            return None
        # Galleries lie in folders of these names, and not every disk tells Ada from ada.
        before = first_line.setdefault(name.lower(), self.line)
        if before != self.line:
            self._note("subject", f"{name!r} stands on line {before} already.")
            return None
        return str(name)

    def _photos(self) -> str | None:
        text = self.cells.get("photos")
        if text is None:
            self._note("photos", "it is missing: a folder, a zip, or s3://BUCKET/FOLDER.")
            return None
        place = self._place(text)
        try:
            there = place.startswith("s3://") or Path(place).exists()
        except (OSError, ValueError):  # no file can have such a name
            there = False
        if not there:
            self._note("photos", f"{text!r} is not there: {place}")
            return None
        return place

    def _place(self, text: str) -> str:
        """Return a path as the file means it: from where the file lies."""
        return text if text.startswith("s3://") else str(self.folder / Path(text).expanduser())

    def _asked(self, subject: str) -> Asked | None:
        cells = {name: self.cells[name] for name in IMAGES if name in self.cells}
        base = self.cells.get("base") or self.client.settings.base
        try:
            return asked_for(subject, base=base, seed=self.cells.get("seed"), **cells)
        except LensaError as error:
            self._note("", str(error))
            return None

    def _config(self, options: dict[str, Any]) -> TrainingConfig | None:
        fields = {name: value for name, value in options.items() if name not in _OF_PHOTOS}
        own = {name: fields.pop(name) for name in OPTIONS & fields.keys()}
        config = None
        try:
            self.client.backend.with_options(**own)
        except LensaError as error:
            self._notes(error)
        try:
            config = self.client.configure(**fields)
        except LensaError as error:
            self._notes(error)
        return None if self.problems else config

    def _notes(self, error: LensaError) -> None:
        for line in str(error).splitlines():
            self._note("", line)

    def _look(self, photos: str, options: dict[str, Any]) -> None:
        """Something else is wrong already: what is wrong with the photos is told with it, but of an
        unknown base, which says how large they have to be."""
        kind, base = options.get("kind"), options.get("base")
        try:
            resolve_base(base or self.client.settings.base)
        except LensaError:
            return
        try:
            self.client.check(
                photos,
                kind=kind if kind in KINDS else "person",
                base=base,
                recursive=bool(options.get("recursive")),
            ).for_training(anyway=bool(options.get("anyway")))
        except LensaError as error:
            self._note("photos", str(error))


_OF_PHOTOS = {"class_photos", "recursive", "captions", "anyway"}
