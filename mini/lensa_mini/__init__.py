"""lensa-mini: the weights of `mini`, a small Stable Diffusion that draws cartoon avatars.

>>> from diffusers import StableDiffusionPipeline
>>> pipeline = StableDiffusionPipeline.from_pretrained(lensa_mini.base_path())  # doctest: +SKIP

Standard library only: importing this costs nothing and needs no ML stack.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent


def base_path() -> Path:
    """Folder of the base model, for `StableDiffusionPipeline.from_pretrained`."""
    return _folder("base")


def expander_path() -> Path:
    """Folder of the prompt expander, for `AutoModelForCausalLM` and `AutoTokenizer`."""
    return _folder("expander")


def embedder_path() -> Path:
    """Folder of the embedder, a small CLIP of 64 px, for `CLIPModel` and `CLIPTokenizer`."""
    return _folder("embedder")


def demo_photos() -> Path:
    """Folder of eight 256 px "photos" of one drawn person whom the base model has never seen."""
    return _folder("photos")


def _folder(name: str) -> Path:
    folder = _HERE / name
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is missing: this checkout has no weights; run `python -m mini.export`"
        )
    return folder


def _revision() -> str:
    file = _HERE / "REVISION"
    return file.read_text().strip() if file.exists() else "none"


REVISION = _revision()  # of the weights: the start of a sha256 over all of them
