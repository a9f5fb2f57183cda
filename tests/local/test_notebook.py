"""In a notebook: a progress bar that moves while the cell runs, a gallery that shows itself."""

from __future__ import annotations

from pathlib import Path

import nbformat
from conftest import TINY
from nbclient import NotebookClient

CELLS = """
import lensa
avatar = lensa.train({photos!r}, subject="ada", **{recipe!r})
---
with avatar.deploy() as endpoint:
    gallery = endpoint.generate("as an astronaut", count=2, seed=7, steps=2)
gallery
"""


def test_from_photos_to_a_gallery_in_two_cells(photos: Path) -> None:
    sources = CELLS.format(photos=str(photos), recipe=TINY).split("---")
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source.strip()) for source in sources]
    )
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    (bar,) = [output for output in notebook.cells[0].outputs if "data" in output]
    page = bar["data"]["text/html"]
    assert f'<progress value="{TINY["steps"]}" max="{TINY["steps"]}">' in page
    assert page.endswith("done</div>")
    (shown,) = [output for output in notebook.cells[1].outputs if "data" in output]
    assert shown["data"]["text/html"].count("data:image/png;base64,") == 2
