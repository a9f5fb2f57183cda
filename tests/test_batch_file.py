"""The file of a batch: everything wrong with it is told at once, and nothing is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import write_photos
from people import LEAST

from lensa.batches.outcome import Outcome
from lensa.batches.reading import MOST_ROWS, read_rows
from lensa.batches.report import BatchReport
from lensa.batches.rows import Row, check_file
from lensa.client import Client
from lensa.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ada", "bob"):
        write_photos(tmp_path / "photos" / name)
    return tmp_path


def check(
    client: Client, folder: Path, text: str, name: str = "people.csv", **more: Any
) -> list[Row]:
    path = folder / name
    path.write_text(text)
    return check_file(client, path, {**LEAST, **more})


def cells(folder: Path, content: str | bytes, name: str = "people.csv") -> list[dict[str, Any]]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [row.cells for row in read_rows(path)]


# --- what it may look like ---


def test_a_row_is_a_training_and_a_gallery(client: Client, folder: Path) -> None:
    text = """subject,photos,kind,styles,count,prompt,seed,learning_rate
ada,photos/ada,person,"anime,neon-noir",2,Ada in Paris,7,0.0005
bob,photos/bob,pet,,,,,
"""
    ada, bob = check(client, folder, text.replace(",neon-noir", ",watercolour"))
    assert (ada.subject, ada.line, ada.config.seed, ada.config.learning_rate) == ("ada", 2, 7, 5e-4)
    assert [(one.name, one.count, one.seed) for one in ada.config.gallery] == [
        ("anime", 2, 7),
        ("watercolour", 2, 7),
    ]
    prompts = [one.prompt for one in ada.config.gallery]
    assert all("{subject} in Paris" in one and "Ada" not in one for one in prompts)
    assert (bob.config.kind, bob.config.gallery, bob.config.steps) == ("pet", (), 2)
    assert (ada.upload.photos, ada.upload.destination) == (5, None)


def test_yaml_says_the_same(client: Client, folder: Path) -> None:
    text = """
- &first
  subject: ada
  photos: photos/ada
  styles: [anime, watercolour]
  count: 2
  validation_prompts: ["a photo of {subject}"]
- <<: *first
  subject: no
  photos: photos/bob
"""
    ada, no = check(client, folder, text, "people.yaml")
    assert (ada.line, ada.asked.count, ada.config.validation_prompts) == (
        2,
        4,
        ("a photo of {subject}",),
    )
    assert (no.line, no.subject, no.asked.count) == (8, "no", 4)  # a name, and not false


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xef\xbb\xbfSubject,Photos\r\n\r\nada,p\r\n,\r\n", [{"subject": "ada", "photos": "p"}]),
        ("subject,steps\nada,8\n".encode("utf-16"), [{"subject": "ada", "steps": 8}]),
        ("sep=;\nsubject;Learning rate\nada;0,001\n", [{"subject": "ada", "learning_rate": 0.001}]),
        ("subject\tflip\t\nada\tTRUE\t\n", [{"subject": "ada", "flip": "TRUE"}]),
        ('subject,prompt\n007,"a, b\n""c"""\n', [{"subject": "007", "prompt": 'a, b\n"c"'}]),
    ],
    ids=["bom", "utf-16", "semicolons", "tabs", "quotes"],
)
def test_what_spreadsheets_write_is_read(
    folder: Path, content: str | bytes, expected: list[dict[str, Any]]
) -> None:
    assert cells(folder, content) == expected


# --- what is wrong with it ---


def test_everything_wrong_is_told_at_once_with_its_line(client: Client, folder: Path) -> None:
    write_photos(folder / "photos" / "few", count=2)
    text = """subject,photos,kind,styles,count,stepz,steps
ada,photos/ada,person,watercolor,1,3,2
Ada,photos/nobody,person,anime,1,,0
,photos/few,person,,3,,2
"""
    with pytest.raises(ConfigError) as raised:
        check(client, folder, text)
    lines = str(raised.value).splitlines()
    assert "people.csv: 8 things have to change, and nothing was started:" in lines[0]
    for words in (
        "line 2, stepz: there is no such column. Did you mean 'steps'?",
        "line 2: No style is called 'watercolor'. Did you mean 'watercolour'?",
        "line 3, subject: 'Ada' stands on line 2 already.",
        "line 3, photos: 'photos/nobody' is not there",
        "line 3: training: steps = 0",
        "line 4, subject: it is missing.",
        "line 4: count says how many images, but of what?",
        "line 4, photos: ",  # what the coach says
    ):
        assert [line for line in lines if words in line], words
    assert client.jobs() == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "subject,photos\nx,a,b\n", "line 2: it has 3 cells and there are 2 columns"),
        ("a.csv", 'subject,photos\nada,"p\n', "line 2: it cannot be read: unexpected end of data"),
        ("a.csv", "subject,subject\n", "line 1: the column 'subject' is there twice"),
        ("a.csv", ",subject\n0,ada\n", "line 2: '0' is in a column without a name"),
        ("a.csv", b"subject,ph\xe9\n", "is not UTF-8"),
        ("a.csv", b"subject\0", "is no text"),
        ("a.csv", "subject,photos\n", "has no rows"),
        ("a.csv", "s\n" + "x\n" * (MOST_ROWS + 1), "1,001 rows, 1,000 at most"),
        ("a.csv", "x" * 1_000_001, "larger than 1 MB"),
        ("a.xlsx", b"PK", "a batch is a .csv or a .yaml"),
        ("a.yaml", "subject: ada", "it is to be a list"),
        ("a.yaml", "- ada", "line 1: a row is a mapping"),
        ("a.yaml", "- {subject: a, subject: b}", "'subject' is there twice"),
        ("a.yaml", "- {steps: !!python/object/apply:os.system [ls]}", "not plain YAML"),
        ("a.yaml", "- &a [*a]", "holds itself"),
        ("a.yaml", "[" * 100_000, "nested too deeply"),
        ("a.yaml", "- {subject: [", "line 1: it is not plain YAML"),
    ],
)
def test_a_hostile_file_is_one_clear_error(
    folder: Path, name: str, content: str | bytes, words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as raised:
        cells(folder, content, name)
    assert str(folder / name) in str(raised.value)


def test_aliases_that_stand_for_terabytes_are_not_written_out(folder: Path) -> None:
    levels = [f"- &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(ConfigError, match="aliases"):
        cells(folder, "\n".join(["- &l0 [x]", *levels]), "people.yaml")
    merged = [f"- &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    with pytest.raises(ConfigError, match="aliases"):
        cells(folder, "\n".join(["- &m0 {a: b}", *merged]), "people.yaml")


def test_what_aws_alone_has_is_refused_by_name_on_this_machine(
    client: Client, folder: Path
) -> None:
    with pytest.raises(ConfigError, match="line 2: spot is an option of backend='sagemaker'"):
        check(client, folder, "subject,photos\nada,photos/ada\n", spot=True)
    with pytest.raises(ConfigError, match="unknown field 'stepz'"):
        check(client, folder, "subject,photos\nada,photos/ada\n", stepz=3)


# --- what is written in the end ---


def test_a_report_shows_what_it_is_told_and_runs_none_of_it(tmp_path: Path) -> None:
    row = Outcome(2, "ada", 1, "failed", error="=HYPERLINK(1)\n<script>alert(1)</script>")
    row.images = ["ada/anime/not-there.webp"]
    BatchReport((row,), tmp_path).save()
    page = (tmp_path / "report.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "'=HYPERLINK" in (tmp_path / "report.csv").read_text()
