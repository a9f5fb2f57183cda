"""Measures the exported model, figure by figure, into `mini/evaluation.json` and the model card,
and draws the card's pictures (`mini/pictures/`).

    OMP_NUM_THREADS=1 python -m mini.evaluate                        all of them
    OMP_NUM_THREADS=1 python -m mini.evaluate --figures embedder     these alone

Beside every figure stand what real renders reach (the ceiling) and what the base model or chance
does (the floor); raw readings are saved. The judges, `mini.classifier` and `mini.identity`, have to
be trained first. Figures 2 to 5 train 40 avatars (`mini.dreambooth`), and go on where they were
interrupted.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from diffusers import StableDiffusionPipeline

import lensa_mini
from mini.card import write_card
from mini.evaluate_embedder import embedder_figure
from mini.generating import GUIDANCE, STEPS, load
from mini.prompt_following import TARGETS, prompt_following
from mini.sheets import contact_sheet, following_sheet, subjects_sheet
from mini.subject_figures import (
    METHODS,
    prior_figure,
    speed_figure,
    style_figure,
    subject_figure,
)

__all__ = ["FIGURES", "TARGETS"]

RESULT = Path(__file__).parent / "evaluation.json"

# Name in the result -> what measures it, by the base model's pipeline.
FIGURES: dict[str, Callable[[StableDiffusionPipeline], dict[str, Any]]] = {
    "prompt_following": prompt_following,
    "subject": subject_figure,
    "prior": prior_figure,
    "styles": style_figure,
    "speed": speed_figure,
    "embedder": embedder_figure,
}
OF_AVATARS = ("subject", "prior", "styles", "speed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figures", nargs="*", choices=list(FIGURES), default=list(FIGURES))
    parser.add_argument("--sheet-only", action="store_true", help="draw the contact sheet alone")
    args = parser.parse_args()
    pipeline = load()
    print(contact_sheet(pipeline))
    if args.sheet_only:
        return
    for name in args.figures:
        measured = FIGURES[name](pipeline)
        # Read anew and written at once: what is measured stays if the next one fails.
        result = of_these_weights()
        settings = {"steps": STEPS, "guidance": GUIDANCE} if name == "prompt_following" else {}
        result[name] = {"revision": lensa_mini.REVISION, **settings, **measured}
        RESULT.write_text(_compact(result))
        write_card(result)
        shown = {k: v for k, v in result[name].items() if k != "raw"}
        print(json.dumps({name: shown}, indent=2))
    if "prompt_following" in args.figures:
        print(following_sheet(pipeline))
    if any(name in OF_AVATARS for name in args.figures):
        for method in METHODS:
            print(subjects_sheet(method))


def of_these_weights() -> dict[str, Any]:
    """What was measured before, but for other weights' figures."""
    result: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    return {k: v for k, v in result.items() if v["revision"] == lensa_mini.REVISION}


def _compact(result: dict[str, Any]) -> str:
    """Indented JSON with each row of raw readings on one line."""
    text = json.dumps(result, indent=1)
    return re.sub(r"\[[\s\d,]+\]", lambda m: re.sub(r"\s+", "", m[0]), text) + "\n"


if __name__ == "__main__":
    main()
