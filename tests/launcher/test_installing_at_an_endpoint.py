"""AWS's image when it lacks what we need: it is installed, or told to whoever asks."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from aws_image.serving_image import PINS, ServingImage, lay_out
from contained import environment, make_interpreter, make_wheel, require
from inference.making import make_avatar
from requirements import need_module

ASK = {"prompt": "x", "steps": 1}


# What the toolkit does with a user's module, without the server and the libraries around it.
CALL = """
import importlib, json, sys
from mms.context import Context, RequestProcessor

context = Context("model", sys.argv[1], None, 1, None, "1.1.11")
context.request_processor = [RequestProcessor({})]
context.request_ids = {0: "an-id"}
sys.path.insert(0, sys.argv[1] + "/code")
module = importlib.import_module("inference")
model = module.model_fn(sys.argv[1], context)
request = module.input_fn(b"{}", "application/json", context)
response = module.predict_fn(request, model, context)
body = module.output_fn(response, "image/png", context)
head = context.request_processor[0]
heavy = [name for name in ("torch", "pydantic") if name in sys.modules]
print(json.dumps([head.get_response_status_code(), json.loads(body), heavy]))
"""


def lacking(folder: Path) -> None:
    """A model folder whose code needs what nobody has."""
    code = lay_out(folder)
    require(code / "lensa.pyz", f"lensa-probe==1.0 --hash=sha256:{'1' * 64}\n")
    (code / "wheels").mkdir()


def test_what_cannot_be_installed_is_told_though_nothing_could_be_loaded(tmp_path: Path) -> None:
    need_module("aws-image", "mms", f"--no-deps --requirement {PINS}")
    lacking(tmp_path / "model")
    command = [sys.executable, "-c", CALL, str(tmp_path / "model")]
    done = subprocess.run(command, env=environment(), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    status, body, heavy = json.loads(done.stdout.splitlines()[-1])
    assert (status, heavy) == (500, [])
    assert body["error"]["type"] == "SetupError"
    assert body["error"]["message"].startswith("lensa-probe==1.0 cannot be installed")
    assert "lensa-probe==1.0" in done.stderr  # the log has it, too


@pytest.mark.slow
def test_what_cannot_be_installed_is_told_by_the_real_server(tmp_path: Path) -> None:
    lacking(tmp_path / "model")
    with ServingImage(tmp_path) as image:
        image.listening()
        for headers in ({}, {"Accept": "image/png"}):
            answer = image.client.post("/invocations", json=ASK, headers=headers)
            assert answer.status_code == 500
            assert answer.headers["content-type"] == "application/json"
            error = answer.json()["error"]
            assert error["type"] == "SetupError"
            assert error["message"].startswith("lensa-probe==1.0 cannot be installed")
        assert "lensa-probe==1.0" in image.log()


@pytest.mark.slow
def test_what_replaces_a_module_that_is_in_memory_is_seen_by_a_new_worker(tmp_path: Path) -> None:
    """The toolkit has imported its libraries when it comes to us."""
    python = make_interpreter(tmp_path / "python")
    (own,) = (tmp_path / "python").glob("lib/python3*/site-packages")
    (own / "lensa_probe.py").write_text("OLD = True")
    (own / "lensa_probe-0.9.dist-info").mkdir()
    (own / "lensa_probe-0.9.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: lensa-probe\nVersion: 0.9\n"
    )
    record = "lensa_probe.py,,\nlensa_probe-0.9.dist-info/METADATA,,\n"
    (own / "lensa_probe-0.9.dist-info" / "RECORD").write_text(
        record + "lensa_probe-0.9.dist-info/RECORD,,\n"
    )
    code = lay_out(make_avatar(tmp_path / "model"))
    ours = (code / "inference.py").read_text()
    told = "print('old:', hasattr(lensa_probe, 'OLD'))"
    (code / "inference.py").write_text(f"import lensa_probe\n{ours}\n{told}\n")
    wheel = make_wheel(code / "wheels")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    require(code / "lensa.pyz", f"lensa-probe==1.0 --hash=sha256:{digest}\n")
    with ServingImage(tmp_path, python) as image:
        image.listening()
        assert image.client.post("/invocations", json=ASK).status_code == 200
        image.logged("starting again, for lensa-probe")
        image.logged("old: False")
        assert "old: True" not in image.log()
