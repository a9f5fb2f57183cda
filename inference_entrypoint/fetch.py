"""Brings a base model from the hub to this machine: `python -m inference_entrypoint.fetch`.

Reads a BaseModelRef as JSON on stdin. Its last line on stdout is a JSON object: the folder and the
revision, or the error. A process of its own, because the client never imports what it needs.
"""

from __future__ import annotations

import json
import sys

from lensa.contract import BaseModelRef
from lensa.errors import LensaError


def main() -> int:
    try:
        base = BaseModelRef.model_validate_json(sys.stdin.read())
        from inference_entrypoint.bases import fetch_hub  # late: it loads the whole ML stack

        folder, revision = fetch_hub(base)
    except LensaError as error:
        print(json.dumps({"error": str(error)}))
        return error.exit_code
    print(json.dumps({"folder": str(folder), "revision": revision}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
