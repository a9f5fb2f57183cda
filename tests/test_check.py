"""`lensa check`, and what a training does with the coach's word and the user's consent."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, write_photos
from photos.reports import finding, report
from photos.sets import astronaut_photos
from typer.testing import CliRunner, Result

from lensa.cli import app
from lensa.client import Client
from lensa.contract.events import NoticeEvent
from lensa.errors import ConfigError, PhotosError, UserError
from lensa.photos import examine as examining
from lensa.photos.showing.upload import Upload
from lensa.testing import SagemakerTwin

RECIPE = {**TINY, "anyway": True}  # plain colours: no coach would have them


def check(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


@pytest.fixture
def astronaut(tmp_path: Path) -> Path:
    return astronaut_photos(tmp_path / "ada", count=6)


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coach that finds a reason to stop."""

    def advise(photos: Any, **given: Any) -> Any:
        stop = finding("stop", photos[0].name, code="screenshot", what="it is a screenshot")
        return report(stop, photos=photos, verdict="will disappoint")

    monkeypatch.setattr(examining, "advise", advise)


# -- lensa check


def test_it_prints_a_row_for_every_photo_and_the_verdict(astronaut: Path) -> None:
    (astronaut / "notes.pdf").write_bytes(b"%PDF-1.7")
    result = check(astronaut, "--base", "mini")
    assert result.exit_code == 0, result.output
    for number in range(1, 7):
        assert f"{number}.jpg" in result.stdout
    assert "left out: notes.pdf: a document" in result.stdout
    assert "6 photos: " in result.stdout


def test_the_last_line_of_json_is_all_there_is_to_say(astronaut: Path, tmp_path: Path) -> None:
    result = check(
        astronaut, "--base", "mini", "--json",
        "--preview", tmp_path / "preview", "--sheet", tmp_path / "new" / "sheet.png",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    value = json.loads(result.stdout.splitlines()[-1])
    assert value["kind"] == "person"
    assert value["verdict"] in {"ready", "will work", "will disappoint"}
    assert value["size"] == 64
    assert value["upload"] == {
        "photos": 6,
        "class_photos": 0,
        "captions": 0,
        "bytes": sum(path.stat().st_size for path in (tmp_path / "preview").iterdir()),
        "destination": None,
        "expiry": None,
    }
    assert len(value["preview"]) == 6
    assert all(Path(path).read_bytes().startswith(b"\x89PNG") for path in value["preview"])
    assert Path(value["sheet"]).read_bytes().startswith(b"\x89PNG")


def test_something_that_stops_is_exit_code_2(astronaut: Path, stopping: None) -> None:
    result = check(astronaut, "--base", "mini", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["findings"][0]["code"] == "screenshot"
    assert "stop   screenshot" in check(astronaut, "--base", "mini").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "No such folder"),
        (["ada", "--kind", "persn"], "Did you mean 'person'?"),
        (["ada", "--base", "sd51"], "Did you mean 'sd15'?"),
        (["ada", "--sheet", "ada/1.jpg"], "is one of your photos"),
    ],
)
def test_what_it_refuses(
    arguments: list[str],
    words: str,
    astronaut: Path,
    monkeypatch: pytest.MonkeyPatch,
    isolated: Path,
) -> None:
    monkeypatch.chdir(astronaut.parent)
    result = check(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert list(isolated.iterdir()) == []


def test_it_asks_aws_nothing_whatever_the_settings_say(
    astronaut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LENSA_BACKEND", "sagemaker")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert check(astronaut, "--base", "mini").exit_code == 0


def test_help_names_it_and_it_has_json() -> None:
    assert "  check " in CliRunner().invoke(app, ["--help"]).stdout
    assert "--json" in check("--help").stdout


def test_photos_in_a_bucket_are_checked_where_they_are(
    sagemaker_twin: SagemakerTwin, astronaut: Path
) -> None:
    client = sagemaker_twin.client("s3")
    for path in astronaut.iterdir():
        client.upload_file(str(path), sagemaker_twin.bucket, f"ada/{path.name}")
    result = check(f"s3://{sagemaker_twin.bucket}/ada", "--base", "mini", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["upload"]["photos"] == 6


def test_folders_inside_are_entered_when_asked_to(astronaut: Path) -> None:
    result = check(astronaut.parent, "--base", "mini", "--recursive", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["upload"]["photos"] == 6


# -- before a training


def test_a_training_ends_before_it_begins_where_the_coach_says_stop(
    astronaut: Path, stopping: None, isolated: Path
) -> None:
    with pytest.raises(PhotosError, match=r"1\.jpg: it is a screenshot") as caught:
        Client().train(astronaut, subject="ada", **TINY)
    assert "Nothing was started" in str(caught.value)
    assert list(isolated.iterdir()) == []
    _, _, plan = Client()._preparation.plan(astronaut, "ada", None, False, True, base="micro")
    assert any("it is a screenshot" in note for note in plan.photos.notes)


def test_what_the_coach_advises_goes_along_as_notes(client: Client, photos: Path) -> None:
    _, _, plan = client._preparation.plan(photos, "ada", None, False, True, base="micro")
    assert any(line.startswith("5 photos: ") for line in plan.photos.notes)


def test_a_zip_names_its_subject(client: Client, astronaut: Path, tmp_path: Path) -> None:
    import shutil

    archive = shutil.make_archive(str(tmp_path / "grace"), "zip", astronaut)
    name, _, plan = client._preparation.plan(archive, None, None, False, True, base="micro")
    assert name == "grace"
    assert len(plan.photos.photos) == 6
    with pytest.raises(ConfigError, match="subject='ada'"):
        client.train(list(astronaut.iterdir()), **RECIPE)


# -- nothing leaves the machine before it was shown


@pytest.fixture
def cloud(sagemaker_twin: SagemakerTwin, monkeypatch: pytest.MonkeyPatch) -> SagemakerTwin:
    for name, value in {
        "BACKEND": "sagemaker",
        "ROLE": sagemaker_twin.role,
        "BUCKET": sagemaker_twin.bucket,
        "POLL_SECONDS": "0.2",
    }.items():
        monkeypatch.setenv(f"LENSA_{name}", value)
    return sagemaker_twin


def sent(cloud: SagemakerTwin) -> int:
    return len(cloud.called("PutObject")) + len(cloud.called("CreateTrainingJob"))


def test_the_question_names_count_size_place_and_expiry(
    cloud: SagemakerTwin, photos: Path, tmp_path: Path
) -> None:
    asked: list[Upload] = []

    def no(upload: Upload) -> bool:
        asked.append(upload)
        return False

    own = write_photos(tmp_path / "class", count=2, seed=3)
    with pytest.raises(UserError, match="Nothing was uploaded"):
        Client().train(photos, subject="ada", confirm=no, class_photos=own, **RECIPE)
    (upload,) = asked
    assert (upload.photos, upload.class_photos, upload.size) == (5, 2, 32)
    assert 0 < upload.bytes < 100_000
    assert upload.destination == f"s3://{cloud.bucket}/lensa/photos/"
    assert "lifecycle" in str(upload.expiry)
    assert sent(cloud) == 0


def test_in_python_the_call_is_the_consent_and_it_is_said_first(
    cloud: SagemakerTwin, photos: Path
) -> None:
    said: list[str] = []

    class EnoughError(Exception):
        pass

    def listen(event: object) -> None:
        assert isinstance(event, NoticeEvent)
        said.append(event.message)
        assert sent(cloud) == 0
        raise EnoughError

    with pytest.raises(EnoughError):
        Client().train(photos, subject="ada", on_event=listen, **RECIPE)
    assert "5 photos would be uploaded" in said[0]
    assert f"s3://{cloud.bucket}/lensa/photos/" in said[0]


def test_without_a_terminal_there_has_to_be_a_yes(cloud: SagemakerTwin, photos: Path) -> None:
    result = CliRunner().invoke(
        app, ["train", str(photos), "--base", "micro", "--anyway", "--json"]
    )
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["type"] == "ConfigError"
    assert "5 photos would be uploaded" in result.stderr
    assert "add --yes" in result.stderr
    assert sent(cloud) == 0


def test_yes_goes_on_to_the_upload(
    cloud: SagemakerTwin, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LENSA_BUCKET", "a-bucket-that-is-not-there")
    arguments = ["train", str(photos), "--base", "micro", "--anyway", "--yes"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "a-bucket-that-is-not-there" in result.stderr.splitlines()[-1]
    assert "--yes" not in result.stderr, "it got past the question"


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"], ids=["no", "return", "end of input"])
def test_on_a_terminal_it_asks_and_no_is_the_default(
    answer: str, cloud: SagemakerTwin, photos: Path
) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    child = subprocess.run(
        [
            *(sys.executable, "-c", "from lensa.cli import main; main()"),
            *("train", str(photos), "--base", "micro", "--anyway"),
        ],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 10_000):
            shown += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    text = shown.decode()
    assert child.returncode == 2, text
    assert "5 photos would be uploaded" in text
    assert "may they be uploaded? [y/N]" in text
    assert "Nothing was uploaded" in text
    assert sent(cloud) == 0
