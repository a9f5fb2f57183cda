"""Images that an asynchronous endpoint has drawn are there until somebody fetches them: when it has
ended, when what it has left is swept, and when the next one of that name is made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from asked import answer
from shelved import (
    ADA,
    deploy,
    left_of_endpoints,
    quickly,
    twin_fixture,  # noqa: F401
)
from typer.testing import CliRunner

import lensa
from lensa.cli import app
from lensa.client import Client
from lensa.contract import GenerationRequest
from lensa.errors import ConfigError, EndpointError, NotFoundError
from lensa.testing import SagemakerTwin

ID, TEAM = "0123456789abcdef", "lensa-team"


def leave(twin: SagemakerTwin, endpoint: str, *, drawn: bool = True) -> str:
    """Leave a request in the bucket as an asynchronous endpoint does, and return its id."""
    below = f"async/{endpoint}"
    place = f"{below}/answers/{ID}.out"
    files = {f"{below}/requests/{ID}/request.json": "{}"}
    files[f"{below}/requests/{ID}/where.json"] = json.dumps({"answer": place, "failure": ""})
    if drawn:
        told = answer(GenerationRequest(prompt="me", count=3, seed=3))
        files[place] = told.model_dump_json()
    for key, text in files.items():
        twin.client("s3").put_object(Bucket=twin.bucket, Key=f"lensa/{key}", Body=text.encode())
    return ID


def end(twin: SagemakerTwin, name: str) -> None:
    """Let an endpoint end, as its hour does."""
    endpoint = twin.endpoints[name]
    endpoint.wait()
    twin.clock.advance(2 * 3600 + 1)
    assert endpoint.gone.wait(30), twin.firings


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["generate", *words])
    return done.exit_code, done.output


def test_what_an_endpoint_drew_is_found_when_it_has_ended(twin: SagemakerTwin) -> None:
    id = leave(twin, TEAM)
    with pytest.raises(NotFoundError, match="no endpoint"):
        lensa.endpoint(TEAM)
    pending = lensa.pending(TEAM, id)
    assert pending.done()
    assert [image.index for image in pending.wait()] == [0, 1, 2]
    assert left_of_endpoints(twin) == []
    with pytest.raises(NotFoundError, match="was fetched before"):
        lensa.pending(TEAM, id)
    for nonsense in ("", "..", "somebody-elses"):
        with pytest.raises(NotFoundError, match="there is no endpoint"):
            lensa.pending(nonsense, id)


def test_what_it_had_not_drawn_when_it_ended_never_comes(twin: SagemakerTwin) -> None:
    pending = lensa.pending(TEAM, leave(twin, TEAM, drawn=False))
    assert not pending.done()
    with pytest.raises(EndpointError, match=f"{TEAM} has ended"):
        pending.wait()
    assert left_of_endpoints(twin) == []


def test_a_sweep_leaves_what_was_drawn(twin: SagemakerTwin) -> None:
    quickly(name=TEAM)
    id = leave(twin, TEAM)
    end(twin, TEAM)
    [swept] = Client().down(expired=True)
    assert swept.name == TEAM and not swept.failed
    assert {key.split("/")[1] for key in left_of_endpoints(twin)} == {"async"}
    assert Client().down(expired=True) == []
    assert len(lensa.pending(TEAM, id).wait()) == 3


def test_the_next_of_that_name_leaves_what_the_last_one_drew(twin: SagemakerTwin) -> None:
    quickly(name=TEAM)
    id = leave(twin, TEAM)
    end(twin, TEAM)
    quickly(name=TEAM, keep="9h")
    assert len(lensa.pending(TEAM, id).wait()) == 3


def test_who_takes_it_down_by_its_name_is_told_what_went(twin: SagemakerTwin) -> None:
    quickly(name=TEAM)
    leave(twin, TEAM)
    [down] = Client().down(TEAM)
    assert any("async/lensa-team (1 answer that nobody has fetched)" in one for one in down.removed)
    assert left_of_endpoints(twin) == []
    leave(twin, TEAM)  # of one that ended by itself
    assert Client().down(TEAM)[0].removed
    assert left_of_endpoints(twin) == []


def test_who_closes_it_is_told_what_went(
    twin: SagemakerTwin, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = quickly(name=TEAM)
    leave(twin, TEAM)
    endpoint.close()
    assert "with the endpoint lensa-team went 1 answer that nobody has fetched." in caplog.text
    assert left_of_endpoints(twin) == []


def test_the_command_fetches_it_into_a_folder(twin: SagemakerTwin, tmp_path: Path) -> None:
    id = leave(twin, TEAM)
    code, said = run("--pending", id, "--endpoint", TEAM, "--out", str(tmp_path), "--json")
    assert code == 0, said
    assert [Path(path).read_bytes() for path in json.loads(said)["images"]] == [
        bytes([i]) for i in range(3)
    ]
    assert run("--pending", id, "--endpoint", TEAM, "--out", str(tmp_path))[0] == 2


def test_an_answer_is_not_fetched_into_a_folder_that_cannot_be(
    twin: SagemakerTwin, tmp_path: Path
) -> None:
    id = leave(twin, TEAM)
    (tmp_path / "file").touch()
    code, said = run("--pending", id, "--endpoint", TEAM, "--out", str(tmp_path / "file"))
    assert code == 2 and "cannot be written" in said
    assert lensa.pending(TEAM, id).done()


@pytest.mark.slow
def test_what_the_command_leaves_it_fetches(twin: SagemakerTwin, tmp_path: Path) -> None:
    with deploy(asynchronous=True) as endpoint:
        name = str(endpoint.name)
        words = (ADA, "on the moon", "--count", "2", "--steps", "1", "--endpoint", name)
        code, said = run(*words, "--no-wait", "--json")
        assert code == 0, said
        left = json.loads(said)
        assert left["endpoint"] == name
        code, said = run("--pending", left["pending"], "--endpoint", name, "--out", str(tmp_path))
        assert code == 0, said
        assert len(list(tmp_path.glob("*.png"))) == 2
        code, said = run(*words, "--no-wait")
        assert code == 0 and f"--endpoint {name}" in said
        fetched = run(*said.split("lensa generate ")[1].split(), "--out", str(tmp_path / "two"))
        assert fetched[0] == 0, fetched[1]
    assert left_of_endpoints(twin) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--pending", ID), "say which, --endpoint NAME"),
        (("--pending", ID, "--endpoint", TEAM, "--count", "3"), "--pending goes without count"),
        (("ada", "me", "--pending", ID, "--endpoint", TEAM), "without AVATAR, a prompt"),
        ((ADA, "me", "--no-wait"), "say which, --endpoint NAME"),
        ((ADA, "--styles", "all", "--no-wait", "--endpoint", TEAM), "goes without --styles"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_meant_is_refused(
    twin: SagemakerTwin, words: tuple[str, ...], told: str
) -> None:
    code, said = run(*words)
    assert code == 2 and told in " ".join(said.split())


def test_only_an_asynchronous_endpoint_is_left_a_request(twin: SagemakerTwin) -> None:
    quickly(name=TEAM)
    code, said = run(ADA, "me", "--endpoint", TEAM, "--no-wait")
    assert code == 2 and "keeps no requests" in said


def test_an_endpoint_of_this_machine_keeps_no_requests() -> None:
    with pytest.raises(ConfigError, match="--backend sagemaker"):
        lensa.pending(TEAM, ID)
