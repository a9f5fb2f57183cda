"""A batch on this machine: killed and started again, left with Ctrl-C, asked for other images."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from local.processes import entrypoints, eventually, lensa
from people import LEAST, write_people
from PIL import Image

import lensa as public
from lensa.client import Client


def arguments(path: Path, out: Path, **changes: Any) -> list[str | Path]:
    fields = {**LEAST, **changes}
    options = [f"--set={name}={json.dumps(value)}" for name, value in fields.items()]
    return ["batch", path, "--out", out, *options]


def test_killed_in_the_middle_the_same_call_goes_on_and_brings_every_gallery(
    tmp_path: Path, client: Client, isolated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_people(
        tmp_path,
        {"subject": "ada", "styles": "anime", "count": 2},
        {"subject": "bob", "prompt": "Bob at sea"},
    )
    out = tmp_path / "out"
    process = lensa(*arguments(path, out))
    assert eventually(lambda: len(client.jobs()) == 1)
    process.kill()
    process.communicate()

    report = public.batch(path, out, **LEAST)
    assert report.ok
    assert [row.images for row in report.rows] == [
        ["ada/anime/000.webp", "ada/anime/001.webp"],
        ["bob/prompt/000.webp"],
    ]
    assert len(client.jobs()) == 2
    for row in report.rows:
        for image in row.images:
            with Image.open(out / image) as picture:
                assert picture.size == (32, 32)
    told = json.loads((out / "report.json").read_text())
    assert [row["avatar"] for row in told["rows"]] == [row.avatar for row in report.rows]
    assert (out / "report.html").read_text().count('src="data:image/webp;base64,') == 3
    assert "ada: running  gallery" in capsys.readouterr().err

    assert all(row.seconds is not None for row in report.rows)

    # Other images of the same avatars: nothing is trained again, and what is missing is said.
    (out / report.rows[0].images[0]).unlink()
    write_people(
        tmp_path,
        {"subject": "ada", "styles": "anime,watercolour", "count": 2},
        {"subject": "bob", "prompt": "Bob on a hill"},
    )
    again = public.batch(path, out, **LEAST)
    assert [row.avatar for row in again.rows] == [row.avatar for row in report.rows]
    assert [row.images for row in again.rows] == [report.rows[0].images, []]
    assert (out / report.rows[0].images[0]).is_file()
    assert [row.seconds for row in again.rows] == [None, None]  # nobody saw how long they took
    ada, bob = (str(row.missing) for row in again.rows)
    assert "2 of 4 images are not in the avatar" in ada
    assert f"lensa generate {again.rows[0].avatar} '' --styles watercolour --count 2" in ada
    assert "'Bob on a hill'" in bob


@pytest.mark.slow
def test_ctrl_c_stops_with_a_checkpoint_and_says_how_to_go_on(
    tmp_path: Path, client: Client, isolated: Path
) -> None:
    path = write_people(tmp_path, {"subject": "ada"}, {"subject": "bob"})
    process = lensa(*arguments(path, tmp_path / "out", steps=20_000))
    assert process.stderr is not None
    while "training" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped, each with a checkpoint. The same call goes on from here." in err
    assert [(job.subject.name, job.status) for job in client.jobs()] == [("ada", "stopped")]
    assert not entrypoints(isolated)
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [row["status"] for row in told["rows"]] == ["running", "pending"]
