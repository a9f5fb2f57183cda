"""What the base's tokenizer makes of the words: said before the training, where it can be known."""

from __future__ import annotations

from typing import Any

from inference_entrypoint.families import family_of
from lensa.contract import TrainingConfig
from training_entrypoint.inputs import Photos
from training_entrypoint.report import Report

MOST_PIECES = 4


def token_pieces(pipeline: Any, token: str) -> int:
    """Return into how many pieces the base's tokenizer takes a word."""
    family = family_of(pipeline)
    return family.token_count(pipeline, token)[0] - family.token_count(pipeline, "")[0]


def say_words(
    pipeline: Any, config: TrainingConfig, photos: Photos, report: Report
) -> tuple[int, ...]:
    """Return how many pieces each concept's token is, and say so; and which prompts are longer than
    what is read."""
    all_pieces = []
    for concept in config.every_concept:
        pieces = token_pieces(pipeline, concept.token)
        all_pieces.append(pieces)
        report.stage("loading", f"token {concept.token!r}: {pieces} of {config.base.name}'s tokens")
        if pieces > MOST_PIECES:
            report.notice(
                f"the token {concept.token!r} is {pieces} pieces to {config.base.name}, and each "
                "learns a part of the subject: a word of one piece is learned better, such as "
                f"{config.base.tokens[0]!r}."
            )
    if photos.captioned:
        report.notice(f"{photos.captioned} of {len(photos.files)} photos have captions.")
    counts = [family_of(pipeline).token_count(pipeline, text) for text in photos.prompts]
    cut = sum(count > limit for count, limit in counts)
    if cut:
        report.notice(
            f"the prompts of {cut} photos have more than {counts[0][1]} tokens: what is beyond is "
            "not learned."
        )
    return tuple(all_pieces)
