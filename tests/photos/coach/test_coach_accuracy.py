"""The coach stays as right as docs/photos.md says, on a set that no threshold was chosen on."""

from __future__ import annotations

import sys
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from photos.coach.labelled import labelled_sets
from requirements import need_module

ROOT = Path(__file__).resolve().parents[3]
SURE = {"blown_out", "border", "burst", "dark", "duplicate", "mirrored", "mix", "other_people"}
SURE |= {"one_session", "screenshot", "small"}


def benchmark() -> ModuleType:
    spec = spec_from_file_location("coach_accuracy", ROOT / "benchmarks" / "coach_accuracy.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


def test_findings_are_as_right_as_the_page_says() -> None:
    need_module("haar", "cv2", "'lensa[photos]'")
    from lensa.photos.detectors.haar import HaarDetector

    detector = HaarDetector()
    accuracy = benchmark()
    counts: dict[str, Counter[str]] = {}
    photos = 0
    for made in labelled_sets(seed=3, count=6):
        photos += len(made.photos)
        accuracy.count(made, detector if made.source == "composed" else None, counts)
    assert photos > 60
    total = sum(counts.values(), Counter())
    assert total["right"] / (total["right"] + total["wrong"]) > 0.8
    assert total["right"] / (total["right"] + total["missed"]) > 0.8
    sure = sum((found for code, found in counts.items() if code in SURE), Counter())
    assert sure["right"] > 15
    assert sure["wrong"] + sure["missed"] <= 2
