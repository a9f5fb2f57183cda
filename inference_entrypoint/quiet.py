"""The libraries' progress bars, off: stderr is a log here, and what takes long says so itself."""

from __future__ import annotations

from diffusers.utils import logging as diffusers_logging
from huggingface_hub.utils import disable_progress_bars
from transformers.utils import logging as transformers_logging


def no_bars() -> None:
    """Switch off the bars of diffusers, transformers and the hub's client, for good."""
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    disable_progress_bars()
