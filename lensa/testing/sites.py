"""Where the containers of a twin run."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lensa.testing.clock import Clock
from lensa.testing.container import make_python
from lensa.testing.faults import Faults


@dataclass
class Site:
    """What the jobs and endpoints of one twin share."""

    s3: Any
    clock: Clock
    faults: Faults
    folder: Path
    url: str
    python: Path | None  # of the containers; None: one is made of this process's
    pid_namespace: bool
    container_key: str
    _making: threading.Lock = field(default_factory=threading.Lock)

    def container_python(self) -> Path:
        with self._making:
            if self.python is None:
                self.python = make_python(self.folder / "python")
            return self.python

    def credentials(self, region: str) -> dict[str, str]:
        """Return what leads a container to AWS, with a role of its own."""
        return {
            "AWS_REGION": region,
            "AWS_ACCESS_KEY_ID": self.container_key,
            "AWS_SECRET_ACCESS_KEY": "twin",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost",
        }
