"""The log of a server: a JSON object a line, with what a caller gave beside the message."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from inference_entrypoint.logs import JsonLines

WISH = """
import logging
from inference_entrypoint.logs import log_to_stderr
log_to_stderr()
log = logging.getLogger("lensa.server")
log.debug("asked", extra={"prompt": "a secret wish"})
log.info("answered", extra={"status": 200})
try:
    1 / 0
except ZeroDivisionError:
    log.exception("a request failed")
"""


def logged(level: str | None, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    if level is not None:
        monkeypatch.setenv("LENSA_LOG_LEVEL", level)
    done = subprocess.run([sys.executable, "-c", WISH], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.parametrize("level", [None, "info", "nonsense"])
def test_prompts_are_not_in_it_unless_it_is_asked_for_them(
    level: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, failed = logged(level, monkeypatch)
    assert answered["message"] == "answered" and answered["status"] == 200
    assert answered["level"] == "info" and answered["logger"] == "lensa.server"
    assert "ZeroDivisionError" in str(failed["exception"])
    asked, *_ = logged("debug", monkeypatch)
    assert asked["prompt"] == "a secret wish"


def test_what_json_cannot_say_is_said_in_words() -> None:
    record = logging.makeLogRecord({"msg": "x", "folder": object})
    assert json.loads(JsonLines().format(record))["folder"] == "<class 'object'>"
