"""The log of a server: one JSON object a line, on stderr.

Prompts are in it at the level "debug" alone: what people wish for is theirs.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import Any

LEVEL = "LENSA_LOG_LEVEL"  # debug, info (unless told otherwise), warning, error

# What every record has; what a caller gave as `extra` is the rest.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A record as {"time", "level", "logger", "message", ...}, with what was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _OWN},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_to_stderr() -> None:
    """Let this process log as JSON lines, at `$LENSA_LOG_LEVEL`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    level = os.environ.get(LEVEL, "info").upper()
    known = level in logging.getLevelNamesMapping()
    logging.basicConfig(handlers=[handler], level=level if known else "INFO", force=True)
    for noisy in ("httpx", "httpcore", "huggingface_hub", "urllib3", "PIL", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
