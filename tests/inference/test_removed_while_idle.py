"""Who was removed from an endpoint's shelf is forgotten there, though nobody asks for anything."""

from __future__ import annotations

import threading
from multiprocessing import Pipe
from pathlib import Path

import pytest
from many import id_of, numbered
from on_the_shelf import Time, put, shelf_of, take_away

from inference_entrypoint.aws_model import Model
from inference_entrypoint.drawer import Channel, Drawer
from inference_entrypoint.library import Library
from inference_entrypoint.shelf import FRESH
from lensa.testing import SagemakerTwin


class Telling(Library):
    """Says when avatar 2 is forgotten, and can end the thread that has looked."""

    gone: threading.Event
    last = False  # whether the thread that draws ends then

    def look_round(self) -> None:
        super().look_round()
        if id_of(2) not in self.names():
            self.gone.set()
            if self.last:
                raise SystemExit


@pytest.fixture
def library(sagemaker_twin: SagemakerTwin, tmp_path: Path) -> Telling:
    """One that was deployed with avatar 1, and has drawn avatar 2, which is removed since."""
    folders = {number: numbered(tmp_path / str(number), number) for number in (1, 2)}
    clock = Time()
    library = Telling(shelf=shelf_of(sagemaker_twin, clock))
    library.gone = threading.Event()
    library.add(folders[1])
    put(sagemaker_twin, folders[2], id_of(2))
    library.get(id_of(2))
    take_away(sagemaker_twin, id_of(2))
    clock.now += FRESH
    return library


def test_by_a_worker_of_awss_image(library: Telling) -> None:
    model = Model(lambda: library, round_seconds=0.01)
    assert library.gone.wait(30)
    with model.lock:
        assert library.names() == [id_of(1)] and library.loaded() == []


def test_by_the_process_that_draws_of_our_own(
    library: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference_entrypoint.drawer._QUIET", 0.01)
    library.last = True
    drawer = Drawer(Channel(Pipe()[0]), library, 1)
    with pytest.raises(SystemExit):
        drawer.run()
    assert library.names() == [id_of(1)] and library.loaded() == []
