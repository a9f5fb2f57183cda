"""The command line: every command answers `--help` and `--json`, errors go to stderr."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import lensa
from lensa.avatar import Avatar
from lensa.cli import app

COMMANDS = [
    *("demo", "check", "train", "jobs", "attach", "logs", "stop"),
    *("avatars", "generate", "deploy", "ps", "down", "styles", "export", "mirror", "id-photo"),
]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def last(result: Result) -> dict[str, object]:
    value: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return value


def test_help_names_every_command() -> None:
    page = run("--help").stdout
    assert [command for command in COMMANDS if f"  {command} " not in page] == []
    assert run("--version").stdout.strip() == lensa.__version__


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout


def test_what_went_wrong_is_json_too() -> None:
    result = run("generate", "nobody", "x", "--json")
    assert result.exit_code == 2
    assert last(result)["error"] == {
        "type": "NotFoundError",
        "message": "there is no avatar 'nobody'. There are none yet: see lensa train --help.",
    }
    assert result.stderr.startswith("lensa: there is no avatar 'nobody'")


def test_lists_of_nothing() -> None:
    assert last(run("jobs", "--json")) == {"jobs": []}
    assert last(run("avatars", "--json")) == {"avatars": []}
    assert run("jobs").exit_code == run("avatars").exit_code == 0


def test_the_lists_show_what_is_there(
    micro_avatar: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = micro_avatar.path.parents[4]
    monkeypatch.setenv("LENSA_HOME", str(home))
    (job,) = last(run("jobs", "--json"))["jobs"]  # type: ignore[attr-defined]
    assert (job["name"], job["subject"]["name"], job["status"]) == (
        micro_avatar.id,
        "ada",
        "completed",
    )
    (avatar,) = last(run("avatars", "--json"))["avatars"]  # type: ignore[attr-defined]
    assert Path(avatar["path"], "avatar.json").is_file()
    for command in ("jobs", "avatars"):
        page = run(command).stdout
        assert micro_avatar.id in page
        assert "ada" in page


def test_styles_are_listed() -> None:
    names = [style["name"] for style in last(run("styles", "--json"))["styles"]]  # type: ignore[attr-defined]
    assert {"pencil-sketch", "watercolour", "pop-art", "sepia", "neon"} <= set(names)
    assert "Pencil sketch" in run("styles").stdout
