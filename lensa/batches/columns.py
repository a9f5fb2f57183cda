"""What a row may say: whose photos, which images, and any field of the training."""

from __future__ import annotations

import json
import re
from typing import Any

from lensa.backends.sagemaker.options import SagemakerOptions
from lensa.contract import TrainingConfig

IMAGES = ("styles", "count", "prompt", "negative_prompt", "quality")  # of the gallery
CALL = ("photos", "class_photos", "recursive", "captions", "anyway", "allow_ckpt")  # of `train`

# Ids are made up, a gallery is made of other columns, and concepts have a file of their own.
_NOT_HERE = {"subject_id", "gallery", "concepts"}
_FIELDS = tuple(name for name in TrainingConfig.model_fields if name not in _NOT_HERE)

OPTIONS = frozenset(SagemakerOptions.model_fields)  # how it runs on SageMaker
COLUMNS = OPTIONS | {"subject", *CALL, *IMAGES, *_FIELDS}  # all that there are

# What stays the text that it is: "007" is a name, "no" is one too, and "null" is a word.
TEXTS = frozenset(
    {"subject", "photos", "class_photos", "kind", "base", "method", "vae"}
    | {"styles", "prompt", "negative_prompt", "quality"}
    | {name for name in _FIELDS if TrainingConfig.model_fields[name].annotation is str}
)

_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")


def column_name(text: str) -> str:
    """Return a column's name: "Learning rate" is "learning_rate"."""
    return re.sub(r"[\s-]+", "_", text.strip().lower())


def value_of(column: str, text: str) -> Any:
    """Return what a cell of a CSV says: JSON where it is some, as 800, true or ["a", "b"]."""
    text = text.strip()
    if column in TEXTS:
        return text
    if _DECIMAL_COMMA.fullmatch(text):  # as spreadsheets of half of the world write it
        text = text.replace(",", ".")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
