"""`code/inference.py` of a model folder on AWS's Hugging Face image: the bundle beside it is all
of its code, and nothing is unpacked or written here."""

import sys
from pathlib import Path

CODE = Path(__file__).resolve().parent
sys.path.insert(0, str(CODE / "lensa.pyz"))

from launcher.handlers import handlers  # noqa: E402 - it is in the bundle

model_fn, input_fn, predict_fn, output_fn = handlers(CODE)
