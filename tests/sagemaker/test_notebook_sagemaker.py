"""The notebook as it is handed out, run against the twin with its first cell changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from cloud import settle
from nbclient import NotebookClient
from people import LEAST
from shelved import left_of_endpoints

from lensa.testing import SagemakerTwin

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "train_on_sagemaker.ipynb"

SETTINGS = """
import lensa
PHOTOS, SUBJECT = {photos!r}, "ada"
PLACE = {{"backend": "sagemaker"}}
RECIPE = {recipe!r}
TRAINING = {{}}
SERVING = {{"keep": "2h"}}
"""


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def pages(cell: Any) -> str:
    """Return what a cell shows as HTML."""
    data = [output["data"] for output in cell.outputs if "data" in output]
    return "".join(one.get("text/html", "") for one in data)


def test_from_photos_to_images_and_nothing_left(
    sagemaker_twin: SagemakerTwin, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(sagemaker_twin, monkeypatch)
    notebook = read()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    watched = {"validation_prompts": ["a photo of {subject}"], "validation_every": 1}
    recipe = {**LEAST, **watched}
    code[0].source = SETTINGS.format(photos=str(photos), recipe=recipe)
    NotebookClient(notebook, timeout=240, kernel_name="python3").execute()

    steps = recipe["steps"]
    settings, doctor, train, samples, deploy, generate, styled, save, end = code
    assert settings.outputs == []
    assert "quota" in pages(doctor)
    assert f'<progress value="{steps}" max="{steps}">' in pages(train)
    assert "data:image/png;base64," in pages(train)  # the validation images
    assert len(samples.outputs) == 1
    assert "lensa-" in str(deploy.outputs)
    assert pages(generate).count("data:image/") == 4
    assert "as an astronaut" in pages(generate)
    assert pages(styled).count("data:image/") == 2
    assert "gallery" in str(save.outputs)
    assert end.outputs[-1]["data"]["text/plain"] == "[]"
    assert left_of_endpoints(sagemaker_twin) == []
    assert [job.status for job in sagemaker_twin.jobs.values()] == ["Completed"]


def test_it_is_kept_without_what_it_showed() -> None:
    for cell in read().cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
