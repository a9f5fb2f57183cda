"""The validation images that lie in the checkpoint folder: `validation/step-000340/0.png`."""

from __future__ import annotations

from pathlib import Path


def drawn_at(folder: Path) -> dict[int, list[Path]]:
    """Return the subject's images by step, in the prompts' order; what else is drawn to measure by
    has a word in its name."""
    found: dict[int, list[Path]] = {}
    for step in folder.glob("step-*"):
        number = step.name.removeprefix("step-")
        if number.isdigit():
            files = [file for file in step.glob("*.png") if file.stem.isdigit()]
            found[int(number)] = sorted(files, key=lambda file: int(file.stem))
    return {step: found[step] for step in sorted(found) if found[step]}
