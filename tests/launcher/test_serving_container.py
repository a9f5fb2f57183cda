"""Our own serving image, as far as it is not a container: its entrypoint runs a model folder."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from aws_image.serving_image import lay_out
from contained import environment, make_interpreter
from inference.making import make_avatar
from inference.serving import ready
from lock import OWN_IMAGE, ROOT, TORCH

from launcher.requirements import parse
from lensa.backends.bundle import PYTHON
from lensa.contract.environment import SECRETS

FOLDER = (ROOT / OWN_IMAGE).parent


def instructions() -> list[tuple[str, str]]:
    """Return what the Dockerfile says: (instruction, the rest of it)."""
    lines = (FOLDER / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    told = [line for line in lines if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in told]


def entrypoint(python: Path, root: Path) -> list[str]:
    """Return the image's command with what SageMaker adds, for /opt/ml somewhere else."""
    words: list[str] = json.loads(dict(instructions())["ENTRYPOINT"])
    assert words[0] == "python3"
    return [str(python), *(word.replace("/opt/ml", str(root)) for word in words[1:]), "serve"]


@contextmanager
def container(root: Path, python: Path, **extra: str) -> Iterator[subprocess.Popen[str]]:
    given = environment(SAGEMAKER_BASE_DIR=str(root), SAGEMAKER_BIND_TO_PORT="0", **extra)
    process = subprocess.Popen(
        entrypoint(python, root), env=given, cwd=root, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_interpreter(tmp_path_factory.mktemp("python") / "python")


def test_the_image_is_made_of_what_is_here_and_of_pinned_packages() -> None:
    told = instructions()
    for sources in [rest.split()[:-1] for word, rest in told if word in {"COPY", "ADD"}]:
        assert all((FOLDER / source).is_file() for source in sources)
    (base,) = [rest for word, rest in told if word == "FROM"]
    assert base.startswith(f"python:{PYTHON}-")  # for it the wheels of isolated endpoints are
    runs = [rest for word, rest in told if word == "RUN"]
    assert f"assert sys.version_info[:2] == ({PYTHON.replace('.', ', ')})" in runs[0]
    installing = [rest for rest in runs if "pip install" in rest]
    assert installing and all("--require-hashes" in rest for rest in installing)
    has = [each.name for file in (TORCH, OWN_IMAGE) for each in parse((ROOT / file).read_text())]
    assert {"torch", "numpy", "uvicorn"} < set(has) and len(has) == len(set(has))
    assert "lensa" in [rest for word, rest in told if word == "USER"]


def test_it_serves_a_model_folder_by_the_code_in_it_and_writes_nothing_there(
    tmp_path: Path, python: Path
) -> None:
    model = make_avatar(tmp_path / "model")
    lay_out(model)
    before = {path: path.stat().st_mtime_ns for path in [model, *model.rglob("*")]}
    with container(tmp_path, python) as process:
        assert process.stdout is not None
        event = json.loads(process.stdout.readline())
        assert event["event"] == "listening"
        with httpx.Client(base_url=f"http://127.0.0.1:{event['port']}", timeout=60) as client:
            assert ready(client).status_code == 200
            answer = client.post(
                "/invocations",
                json={"prompt": "x", "steps": 1},
                headers={"Host": "model.aws.local:8080"},  # whatever SageMaker calls it
            )
            assert answer.status_code == 200, answer.text
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert {path: path.stat().st_mtime_ns for path in [model, *model.rglob("*")]} == before


def test_a_container_that_cannot_be_set_up_says_why_and_ends(tmp_path: Path, python: Path) -> None:
    lay_out(tmp_path / "model")
    with container(tmp_path, python, **{SECRETS: '{"HF_TOKEN": "hf_abc"}'}) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "secret for HF_TOKEN: what is given is not the ARN" in out and "hf_abc" not in out
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
