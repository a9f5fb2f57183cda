"""What a worker of AWS's image draws with: loaded at its start, or else tried again.

Nothing else starts a worker anew that could not load: its server says that all is well.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import replace

from inference_entrypoint.avatars import Avatar
from inference_entrypoint.broken_gpu import leave_if_broken
from inference_entrypoint.library import Library
from inference_entrypoint.statuses import Refusal, refusal

RETRY = 30.0  # seconds for which what failed is told without being tried again
_ROUND = 30.0  # seconds between two looks for avatars that were removed

log = logging.getLogger("lensa.server")


class Model:
    """An avatar or a library of them, or why there is none. Whoever uses it holds `lock`."""

    def __init__(
        self,
        load: Callable[[], Avatar | Library],
        *,
        clock: Callable[[], float] = time.monotonic,
        round_seconds: float = _ROUND,
    ) -> None:
        """Load, if that can be done now.

        `round_seconds`: how often avatars are looked for that were removed, though nobody asks.
        """
        self.lock = threading.Lock()
        self._load, self._clock = load, clock
        self._round_seconds = round_seconds
        self._loaded: Avatar | Library | None = None
        self._error: Exception | None = None
        self._again = clock()
        self.get()

    def get(self) -> Avatar | Library | Refusal:
        """Return what was loaded. What failed is tried again after `RETRY` seconds."""
        if self._loaded is None and self._clock() >= self._again:
            if self._error is not None:
                leave_if_broken(self._error)  # tried again by another process
            try:
                self._loaded = self._load()
            except Exception as error:
                log.exception("loading failed")
                self._error, self._again = error.with_traceback(None), self._clock() + RETRY
            else:
                self._error = None
                if isinstance(self._loaded, Library):
                    self._watch()
        if self._loaded is not None:
            return self._loaded
        assert self._error is not None
        return replace(refusal(self._error), status=500)  # nothing that a request could change

    def _watch(self) -> None:
        """Look for avatars that were removed, for as long as this model is used."""
        gone = threading.Event()
        weakref.finalize(self, gone.set)
        arguments = (weakref.ref(self), gone, self._round_seconds)
        threading.Thread(target=_look_round, args=arguments, daemon=True).start()


def _look_round(mine: weakref.ref[Model], gone: threading.Event, seconds: float) -> None:
    while not gone.wait(seconds):
        model = mine()
        if model is None:
            return
        with model.lock:  # never while it draws
            loaded = model.get()
            try:
                if isinstance(loaded, Library):
                    loaded.look_round()
            except Exception:  # nobody asked for it
                log.exception("removed avatars could not be looked for")
        del model, loaded
