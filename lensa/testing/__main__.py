"""The twin as a process: `python -m lensa.testing [--port N] [--region R]`.

Prints one line of JSON when it is ready, and ends on SIGTERM or Ctrl-C with its containers.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from lensa.errors import LensaError
from lensa.testing.twin import SagemakerTwin


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lensa.testing", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="a free one if not given")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--python", type=Path, help="the Python of the containers")
    parser.add_argument(
        "--pid-namespace", action="store_true", help="run each job as process 1 (Linux)"
    )
    asked = parser.parse_args()
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    twin = SagemakerTwin(
        region=asked.region,
        port=asked.port,
        python=asked.python,
        pid_namespace=asked.pid_namespace,
    )
    try:
        twin.start()
    except (LensaError, OSError) as problem:
        print(f"lensa.testing: {problem}", file=sys.stderr)
        return 2
    try:
        facts = {
            "url": twin.url,
            "region": twin.region,
            "account": twin.account,
            "bucket": twin.bucket,
            "role": twin.role,
            "environment": twin.environment,
        }
        print(json.dumps(facts), flush=True)
        while not end.wait(0.5):  # a signal that another thread gets would not wake this one
            pass
    finally:
        twin.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
