"""The process that draws: `python -m inference_entrypoint.drawer`, started by `Engine`.

One thread draws, batch after batch; one listens, so that who leaves is heard of in the middle of a
batch; one encodes what is drawn. When the server is gone, however it went, so is this process.
"""

from __future__ import annotations

import argparse
import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import quote

from inference_entrypoint.broken_gpu import leave_if_broken
from inference_entrypoint.channel import (
    Answered,
    Ask,
    Batch,
    Begun,
    Drawn,
    Failed,
    FromDrawer,
    FromServer,
    Hurry,
    Leave,
    Ready,
    Refused,
    Step,
)
from inference_entrypoint.logs import log_to_stderr
from inference_entrypoint.statuses import GOING, Busy, refusal, words
from inference_entrypoint.unused import lean_imports, leave_out
from lensa.contract import GenerationRequest
from lensa.errors import ArtifactError, LensaError, TooMuchError

log = logging.getLogger("lensa.drawer")

_QUIET = 30.0  # seconds without a request, after which removed avatars are looked for


class Abandoned(Exception):
    """Nobody waits for this request any more."""


class TurnTooLate(Busy):
    """Most of a request's time went by before its turn came."""

    def __init__(self) -> None:
        super().__init__("its turn came too late: ask again.", retry_after=5)


class Going(Busy):
    """The server goes, and nothing is drawn yet."""

    def __init__(self) -> None:
        super().__init__(GOING, retry_after=5)


@dataclass
class Channel:
    """The server's end of the line. Any thread may speak."""

    connection: Connection
    asked: queue.SimpleQueue[Ask] = field(default_factory=queue.SimpleQueue)
    left: set[int] = field(default_factory=set)
    hurry: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, message: FromDrawer) -> None:
        with self._lock:
            self.connection.send(message)

    def listen(self) -> None:
        """Hear until the server is gone, and go too: not by an exception, for the thread that
        draws would finish its batch first."""
        try:
            while True:
                message: FromServer = self.connection.recv()
                if isinstance(message, Leave):
                    self.left.add(message.number)
                elif isinstance(message, Hurry):
                    self.hurry = True
                else:
                    self.asked.put(message)
        except (EOFError, OSError):
            os._exit(0)


class Drawer:
    """Answers what is asked over a channel."""

    def __init__(self, channel: Channel, model: Any, batch_size: int) -> None:
        from inference_entrypoint.batching import Batcher

        self._channel, self._model = channel, model
        self._batch_size = batch_size
        self._batcher = Batcher(batch_size, resident=getattr(model, "resident", None))
        self._encoding = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        # Drawing waits for encoding where that is slower: what is drawn lies in memory until then.
        self._room = threading.BoundedSemaphore(2 * batch_size)
        self._encode_seconds = 0.0  # of an image, lately

    def run(self) -> None:
        while True:
            self._admit()
            start = time.monotonic()
            if images := self._batcher.advance():
                self._channel.tell(Batch(images, time.monotonic() - start))

    def _admit(self) -> None:
        """Take in who waits, in order; wait if there is nothing to draw."""
        while len(self._batcher) < self._batch_size:
            try:
                ask = self._channel.asked.get(block=not len(self._batcher), timeout=_QUIET)
            except queue.Empty:
                if len(self._batcher):
                    return
                self._look_round()
                continue
            try:
                self._take(ask)
            except Exception as error:
                self._refuse(ask, error)

    def _look_round(self) -> None:
        try:
            getattr(self._model, "look_round", lambda: None)()
        except Exception:  # nobody asked for it
            log.exception("removed avatars could not be looked for")

    def _take(self, ask: Ask) -> None:
        from inference_entrypoint.drawing import TimeUp
        from inference_entrypoint.order import Order, Result

        start, told, begun = time.monotonic(), 0, False
        request = GenerationRequest.model_validate_json(ask.request)

        def on_begin() -> None:
            nonlocal begun
            begun = True
            self._channel.tell(Begun(ask.number))

        def on_step(done: int, of: int) -> None:
            nonlocal told
            if ask.number in self._channel.left:
                raise Abandoned
            if self._channel.hurry:
                raise TimeUp
            if ask.deadline is not None:
                encoding = self._encode_seconds * request.count
                if time.monotonic() > ask.deadline - encoding:
                    raise TimeUp
            if ask.events and done > told:
                told = done
                self._channel.tell(Step(ask.number, done, of))

        def on_images(order: Order, positions: Sequence[int]) -> None:
            if ask.events:
                self._later(self._show, ask, order.result(), set(positions))

        def on_end(outcome: Result | Exception) -> None:
            if isinstance(outcome, TimeUp) and self._channel.hurry:
                outcome = Going()
            elif isinstance(outcome, TimeUp) and not begun:
                outcome = TurnTooLate()
            if isinstance(outcome, Exception):
                self._refuse(ask, outcome)
            else:
                self._later(self._answer, ask, outcome, time.monotonic() - start)

        # With less than half of its time left it would be begun in vain.
        if ask.deadline is not None and ask.deadline - start < (ask.seconds or 0) / 2:
            raise TurnTooLate
        on_step(0, 0)
        self._batcher.add(self._model.order(request), on_end, on_step, on_images, on_begin)

    def _later(self, act: Callable[..., None], ask: Ask, *arguments: Any) -> None:
        """Let the encoder do this for a request, whose end it is if that fails."""

        def run() -> None:
            try:
                if ask.number in self._channel.left:
                    raise Abandoned
                act(ask, *arguments)
            except Exception as error:
                self._refuse(ask, error)
            finally:
                self._room.release()

        self._room.acquire()
        self._encoding.submit(run)

    def _show(self, ask: Ask, result: Any, positions: set[int]) -> None:
        from inference_entrypoint.answers import encoded

        first = result.request.index
        new = [i for i, index in enumerate(result.indices) if index - first in positions]
        for image in encoded(result, self._model, new):
            self._channel.tell(Drawn(ask.number, image.model_dump_json()))

    def _answer(self, ask: Ask, result: Any, seconds: float) -> None:
        from inference_entrypoint.answers import respond, written

        start = time.monotonic()
        response = respond(result, self._model, seconds)
        body = written(response, ask.accept)
        self._encode_seconds = (time.monotonic() - start) / len(response.images)
        headers = {"X-Lensa-Seed": str(response.images[0].seed)}
        if any(image.unsafe for image in response.images):
            headers["X-Lensa-Unsafe"] = "true"
        if response.warnings:
            headers["X-Lensa-Warnings"] = quote("; ".join(response.warnings)[:1000], safe=" ,;:'()")
        self._channel.tell(Answered(ask.number, body, len(response.images), headers))
        self._channel.left.discard(ask.number)

    def _refuse(self, ask: Ask, error: Exception) -> None:
        self._channel.left.discard(ask.number)
        if isinstance(error, Abandoned):
            return
        status, kind, message = _told(error, ask.identity)
        self._channel.tell(Refused(ask.number, status, kind, message))
        leave_if_broken(error)


def _told(error: Exception, identity: str) -> tuple[int, str, str]:
    """Return the status, kind and words of what a request ended with."""
    import torch

    from inference_entrypoint.drawing import TimeUp
    from inference_entrypoint.inference import NO_MEMORY, TOO_SLOW

    if isinstance(error, TimeUp):
        error = TooMuchError(TOO_SLOW)
    elif isinstance(error, torch.OutOfMemoryError):
        torch.cuda.empty_cache()
        error = LensaError(NO_MEMORY)
    told = refusal(error, identity)
    if told.status == 500:
        log.error("a request failed", exc_info=error, extra={"request": identity})
    return told.status, told.type, told.message


def load(folders: Sequence[Path]) -> Any:
    """Return a model that has drawn an image: being ready means that one can be made.

    Raises as `load_model` does; ArtifactError if not even one of several avatars can be drawn.
    """
    with lean_imports():
        from inference_entrypoint.inference import load_model

    model = load_model(folders)
    # Small, so that a CPU makes it too. No safety checker looks at it: a request may leave it out,
    # and it may not be here.
    probe = GenerationRequest(prompt="", steps=1, width=64, height=64, seed=0, safety=False)
    while True:
        try:
            model.generate(probe)
        except ArtifactError as error:  # one that is damaged must not cost the others
            if len(getattr(model, "names", list)()) < 2:
                raise
            log.error("left out: %s", error)
            model.remove(model.name)
        else:
            return model


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("folders", type=Path, nargs="+")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the server hears them, and says when to go
    log_to_stderr()
    leave_out()  # half a second of a start is theirs, and nobody asks for them here
    channel = Channel(Connection(options.channel))
    threading.Thread(target=channel.listen, name="listener", daemon=True).start()
    start = time.monotonic()
    try:
        model = load(options.folders)
    except BaseException as error:
        if not isinstance(error, LensaError):
            log.exception("loading failed")
        channel.tell(Failed(type(error).__name__, words(error)))
        os._exit(1)
    channel.tell(Ready(model.name, time.monotonic() - start))
    Drawer(channel, model, options.batch).run()


if __name__ == "__main__":
    main()
