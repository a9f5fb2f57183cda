"""`lensa serve`: several avatars from one server on this machine, for whoever may ask."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from local.processes import entrypoints, eventually, finish, lensa, read_until

sys.path.insert(0, str(Path(__file__).parents[1] / "inference"))
from making import make_avatar
from many import id_of, numbered

from lensa.client import Client
from lensa.contract.generation import GenerationResponse
from lensa.errors import ConfigError

ASK: dict[str, Any] = {"prompt": "me", "steps": 2, "seed": 5}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("avatars")
    return [numbered(root / str(number), number) for number in (1, 2)]


@pytest.fixture(scope="module")
def served(
    folders: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """What `lensa serve --json` said, of a server that other machines could ask."""
    process = lensa("serve", *folders, "--host", "0.0.0.0", "--port", "0", "--json")
    try:
        yield read_until(process, lambda line: "url" in line)
        process.send_signal(signal.SIGINT)
        code, _, err = finish(process)
        assert code == 130 and "Traceback" not in err
        assert eventually(lambda: not entrypoints(folders[0].parent))
    finally:
        process.kill()


def test_each_avatar_is_asked_for_by_its_id(served: dict[str, Any]) -> None:
    assert served["avatars"] == [id_of(1), id_of(2)]
    headers = {"Authorization": f"Bearer {served['token']}"}
    answers = {}
    for name in (None, *served["avatars"]):
        body = {**ASK, "avatar": name}
        answer = httpx.post(f"{served['url']}/invocations", json=body, headers=headers, timeout=60)
        answers[name] = GenerationResponse.model_validate_json(answer.content)
    assert answers[None].images == answers[id_of(1)].images
    assert answers[id_of(1)].images[0].data != answers[id_of(2)].images[0].data


@pytest.mark.parametrize("header", [None, "Bearer guess", "Basic x", "Bearer"])
def test_who_does_not_know_the_token_gets_nothing(
    served: dict[str, Any], header: str | None
) -> None:
    headers = {"Authorization": header} if header else {}
    for method, path in (("POST", "/invocations"), ("GET", "/metrics")):
        answer = httpx.request(method, f"{served['url']}{path}", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert served["token"] not in answer.text
    assert httpx.get(f"{served['url']}/ping").status_code == 200


def test_an_open_server_without_a_token_is_refused(folders: list[Path]) -> None:
    with pytest.raises(ConfigError, match="set a token"):
        Client(backend="local").serve(str(folders[0]), host="0.0.0.0")


def test_what_cannot_share_a_server_is_refused_before_one_starts(
    folders: list[Path], tmp_path: Path
) -> None:
    full = make_avatar(tmp_path / "full", method="full")
    code, lines, err = finish(lensa("serve", folders[0], full, "--json"))
    assert code == 2 and "serve it alone" in err
    assert "url" not in lines[-1]


def test_the_client_sends_its_token(folders: list[Path]) -> None:
    with Client(backend="local").serve(str(folders[0]), token="s3cret") as endpoint:
        (image,) = endpoint.generate("me", steps=2, seed=5)
        assert image.seed == 5
        assert httpx.post(f"{endpoint.url}/invocations", json=ASK).status_code == 401
