"""How often the photo coach is right: `python benchmarks/coach_accuracy.py [--write] [--json]`.

Precision and recall of each finding on sets of photos that are made from a seed, with each detector
that is installed. The thresholds were chosen on seed 1; what is reported is seed 4. `--write` puts
the table into docs/photos.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:1] = [str(ROOT / "tests"), str(ROOT)]  # this folder has a photos.py of its own

from photos.coach.labelled import SIZE, Labelled, labelled_sets, labels  # noqa: E402

from lensa.photos.coach import advise  # noqa: E402
from lensa.photos.detectors import Detector  # noqa: E402
from lensa.photos.measure import measure  # noqa: E402

BEGIN, END = "<!-- accuracy: begin -->", "<!-- accuracy: end -->"
FACES = {"no_face", "other_people", "mix", "same_clothes"}  # told by those who looked for faces
Counts = dict[str, Counter[str]]


def detectors() -> dict[str, Detector | None]:
    """The bare client, and whatever is installed."""
    found: dict[str, Detector | None] = {"none": None}
    try:
        from lensa.photos.detectors.haar import HaarDetector

        found["haar"] = HaarDetector()
    except ImportError:
        pass
    try:
        from lensa.photos.detectors.resnet import DlibDetector

        found["dlib"] = DlibDetector()
    except ImportError:
        pass
    return found


def count(made: Labelled, detector: Detector | None, counts: Counts, verbose: bool = False) -> None:
    """Add what was found, missed and made up in one set."""
    photos = [
        measure(
            name, photo, original_size=photo.size, detector=detector, taken=made.taken.get(name)
        )
        for name, photo in made.photos.items()
    ]
    report = advise(photos, kind=made.kind, size=SIZE)
    ignored = made.open | (FACES if detector is None else set())
    found = {label for label in labels(report) if label[0] not in ignored}
    expected = {label for label in made.expected if label[0] not in ignored}
    for outcome, chosen in (
        ("right", found & expected),
        ("wrong", found - expected),
        ("missed", expected - found),
    ):
        for code, names in chosen:
            counts.setdefault(code, Counter())[outcome] += 1
            if verbose and outcome != "right":
                print(made.source, outcome, code, *sorted(names))


def table(results: dict[str, Counts]) -> str:
    """A row a finding: precision and recall with each detector, and how often it was there."""
    names = list(results)
    head = " | ".join(f"{name}: precision, recall" for name in names)
    lines = [f"| finding | there | {head} |", "|---|---:|" + "---:|" * len(names)]
    for code in sorted({code for counts in results.values() for code in counts}):
        cells, there = [], 0
        for counts in results.values():
            if code not in counts:
                cells.append("")
                continue
            right, wrong, missed = (counts[code][key] for key in ("right", "wrong", "missed"))
            there = max(there, right + missed)
            precision = f"{right / (right + wrong):.2f}" if right + wrong else "-"
            recall = f"{right / (right + missed):.2f}" if right + missed else "-"
            cells.append(f"{precision}, {recall}")
        lines.append(f"| `{code}` | {there} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--sets", type=int, default=30)
    parser.add_argument("--detector", help="only this one: none, haar or dlib")
    parser.add_argument("--write", action="store_true", help="put the table into docs/photos.md")
    parser.add_argument("--verbose", action="store_true", help="name every mistake")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results: dict[str, Counts] = {}
    chosen = {
        name: detector for name, detector in detectors().items() if options.detector in (None, name)
    }
    total = 0
    for made in labelled_sets(options.seed, options.sets):
        total += len(made.photos)
        for name, detector in chosen.items():
            # What a detector makes of drawings is in docs/photos.md; it would hide the rest.
            looks = None if made.source == "drawn" else detector
            if made.kind == "person" and looks is detector:
                count(made, detector, results.setdefault(name, {}), options.verbose)
            else:
                count(made, None, results.setdefault(name, {}), options.verbose)
    if options.json:
        print(json.dumps({"photos": total, "seed": options.seed, "findings": results}))
        return
    text = f"{options.sets} sets, {total} photos, seed {options.seed}.\n\n{table(results)}"
    print(text)
    if options.write:
        page = ROOT / "docs" / "photos.md"
        before, _, rest = page.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
