"""`lensa styles` and `lensa generate --styles`: packs listed, and drawn on one endpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from lensa.avatar import Avatar
from lensa.cli import app


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def last(result: Result) -> dict[str, object]:
    value: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return value


def own_pack(home: Path, text: str) -> None:
    folder = home / "styles"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(text, encoding="utf-8")


@pytest.fixture
def served(micro_avatar: Avatar, monkeypatch: pytest.MonkeyPatch) -> Avatar:
    """A trained avatar that the command line finds."""
    monkeypatch.setenv("LENSA_HOME", str(micro_avatar.path.parents[4]))
    return micro_avatar


# -- lensa styles


def test_a_style_is_one_line_with_its_label_its_pack_and_its_look() -> None:
    lines = run("styles").stdout.splitlines()
    (line,) = [line for line in lines if line.startswith("oil-painting ")]
    assert "Oil painting" in line
    assert "  art  " in line
    assert "oil on canvas" in line


def test_one_pack_alone() -> None:
    listed = last(run("styles", "--pack", "Documents", "--json"))["styles"]
    assert {style["pack"] for style in listed} == {"documents"}  # type: ignore[attr-defined]
    assert {"linkedin-headshot", "id-photo"} <= {style["name"] for style in listed}  # type: ignore[attr-defined]


def test_an_unknown_pack_is_refused_with_a_suggestion() -> None:
    result = run("styles", "--pack", "seasons")
    assert result.exit_code == 2
    assert "No pack of styles is called 'seasons'. Did you mean 'seasonal'?" in result.stderr


def test_packs_of_ones_own_are_listed(isolated: Path) -> None:
    own_pack(isolated, '[my-look]\nprompt = "{subject}{prompt}, my look"\n')
    assert "my-look" in run("styles").stdout
    (mine,) = last(run("styles", "--pack", "mine", "--json"))["styles"]  # type: ignore[misc]
    assert mine["prompt"] == "{subject}{prompt}, my look"
    assert mine["picture"] is None


def test_a_broken_pack_of_ones_own_is_one_message(isolated: Path) -> None:
    own_pack(isolated, '[my-look]\nprompt = "my look"\n')
    result = run("styles")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"lensa: {isolated / 'styles' / 'mine.toml'}: my-look: ")
    assert len(result.stderr.splitlines()) == 1


def test_the_sheet_grows_with_the_styles_on_it(tmp_path: Path) -> None:
    for arguments, name in (((), "all.png"), (("--pack", "documents"), "few.png")):
        assert run("styles", *arguments, "--sheet", tmp_path / name).exit_code == 0
    with Image.open(tmp_path / "all.png") as every, Image.open(tmp_path / "few.png") as few:
        assert few.width == 2 * 24 + 6 * 128 + 5 * 8  # six pictures, margins and gaps
        assert every.height > 3 * few.height


def test_a_sheet_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("styles", "--sheet", tmp_path / "file" / "sheet.png")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


# -- lensa generate --styles


def test_every_style_gets_a_folder_of_its_own(served: Avatar, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(
        *("generate", served.id, "at the sea", "--styles", "neon,pack:documents"),
        *("--count", 2, "--seed", 3, "--steps", 1, "--out", out, "--json"),
    )
    assert result.exit_code == 0, result.stderr
    answer = last(result)
    names = [entry["style"] for entry in answer["styles"]]  # type: ignore[attr-defined]
    assert names[0] == "neon"
    assert "id-photo" in names
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    for entry in answer["styles"]:  # type: ignore[attr-defined]
        assert len(entry["images"]) == len(list((out / entry["style"]).iterdir())) == 2
        assert entry["seeds"] == [3, 3]
        assert all("at the sea" in prompt for prompt in entry["prompts"])
    assert answer["failed"] == {}


def test_one_failing_style_does_not_lose_the_others(served: Avatar, tmp_path: Path) -> None:
    (tmp_path / "sepia").write_text("a file where its folder should be")
    result = run(
        *("generate", served.id, "--styles", "neon,sepia,photo"),
        *("--steps", 1, "--out", tmp_path),
    )
    assert result.exit_code == 1
    assert "lensa: sepia: " in result.stderr
    assert "cannot be written" in result.stderr
    for name in ("neon", "photo"):
        assert len(list((tmp_path / name).glob("*.png"))) == 1
        assert str(tmp_path / name) in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--styles", "neon,water"), "No style is called 'water'"),
        (("--styles", "pack:zzz"), "Known: art, documents"),
        (("--styles", " , "), "no style is named"),
        (("--styles", "all", "--style", "neon"), "--style and --styles are both given"),
        (("--styles", "all", "--count", "0"), "count = 0"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(
    served: Avatar, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    result = run("generate", served.id, *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert words in result.stderr
    assert not (tmp_path / "out").exists()
