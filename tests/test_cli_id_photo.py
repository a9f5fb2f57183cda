"""`lensa id-photo`: a picture in, a photo and a sheet out, or one message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from requirements import need_module
from skimage import data
from typer.testing import CliRunner, Result

from lensa.cli import app


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["id-photo", *(str(argument) for argument in arguments)])


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    need_module("dlib", "dlib", "'lensa[faces]'")
    path = tmp_path / "astronaut.png"
    Image.fromarray(data.astronaut()).save(path)
    return path


def test_the_command_writes_a_photo_and_a_sheet(picture: Path, tmp_path: Path) -> None:
    out, sheet = tmp_path / "new" / "id.jpg", tmp_path / "sheet.png"
    result = run(picture, "--country", "de", "--out", out, "--sheet", sheet, "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout.splitlines()[-1])
    assert (answer["size"], answer["size_mm"], answer["copies"]) == ([413, 531], [35, 45], 8)
    assert 32 <= answer["head_mm"] <= 36
    with Image.open(out) as photo, Image.open(sheet) as printed:
        assert photo.size == (413, 531)
        assert printed.size == (1772, 1181)


def test_the_command_says_what_it_made_and_whose_rule_it_is(picture: Path, tmp_path: Path) -> None:
    page = run(picture, "--country", "us", "--out", tmp_path / "id.png").stdout
    assert "note: the picture was enlarged" in page
    assert "United States: 50.8 x 50.8 mm at 300 dpi, head about 30 mm (25.4 to 34.9)" in page
    assert "US Department of State" in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--country", "zz", "--out", "id.png"), "no ID photo specification for 'zz'"),
        (("--country", "de", "--out", "id.gif"), "id.gif: name it .png"),
        (("--country", "de", "--out", "astronaut.png"), "is the picture itself"),
        (("--country", "de", "--out", "a.png", "--sheet", "b.png", "--paper", "x"), "paper: 'x'"),
        (("--country", "de", "--out", "id.png", "--dpi", "7"), "dpi = 7"),
    ],
)
def test_what_is_wrong_is_one_message_and_nothing_is_written(
    picture: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(picture.parent)
    before = picture.read_bytes()
    result = run(picture.name, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in picture.parent.iterdir()] == [picture.name]
    assert picture.read_bytes() == before


def test_a_file_that_is_no_picture_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    for name, words in (("note.txt", "cannot be used"), ("none.png", "There is no picture at")):
        result = run(tmp_path / name, "--country", "de", "--out", tmp_path / "id.png")
        assert result.exit_code == 2
        assert words in result.stderr
