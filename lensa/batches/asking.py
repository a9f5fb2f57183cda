"""Which images a row asks for: styles by their names, into the gallery of a job."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lensa.contract.gallery import GalleryItem
from lensa.errors import ConfigError

_WORDS = "prompt"  # the folder of images that have a prompt and no style


@dataclass(frozen=True)
class Asked:
    """The gallery of one row, and the words that it was asked for in."""

    items: tuple[GalleryItem, ...] = ()
    prompt: str = ""
    note: str | None = None  # what there is to say of the choice

    @property
    def count(self) -> int:
        return sum(item.count for item in self.items)

    def command(self, avatar: str, items: Sequence[GalleryItem], out: str) -> str:
        """Return the command that draws some of the items with a finished avatar."""
        first = items[0]
        words = ["lensa", "generate", avatar, self.prompt]
        if first.name == _WORDS:
            words += ["--negative-prompt", first.negative_prompt] if first.negative_prompt else []
        else:
            words += ["--styles", ",".join(item.name for item in items)]
        words += ["--count", str(first.count), "--seed", str(first.seed)]
        words += ["--quality", first.quality] if first.quality != "standard" else []
        return shlex.join([*words, "--set", f"format={first.format}", "--out", out])


def asked_for(
    subject: str,
    *,
    base: str,
    styles: str | Sequence[str] = (),
    prompt: str = "",
    negative_prompt: str = "",
    count: Any = None,
    quality: str | None = None,
    seed: Any = None,
) -> Asked:
    """Return the gallery: `count` images of each style, or of the prompt alone.

    `subject` is a name that stands for the subject in the prompt. Raises ConfigError or
    NotFoundError for what cannot be asked for.
    """
    from lensa.prompts.choosing import choose_styles
    from lensa.requests import make_request

    chosen = choose_styles(styles, base=base) if styles else None
    names: list[str | None] = [None] if prompt and chosen is None else []
    if chosen is not None:
        names += [one.name for one in chosen.styles]
    if not names:
        if count is not None:
            raise ConfigError("count says how many images, but of what? Give styles, or a prompt.")
        return Asked()
    fields = {"count": count, "quality": quality, "seed": seed}
    given = {name: value for name, value in fields.items() if value is not None}
    if negative_prompt:
        given["negative_prompt"] = negative_prompt
    items = []
    for name in names:
        request = make_request(prompt, style=name, name=subject, **given)
        item = request.model_dump(include={"prompt", "negative_prompt", "count", "quality"})
        own = {"steps": request.steps, "guidance_scale": request.guidance_scale}
        items.append(GalleryItem(name=name or _WORDS, seed=request.seed or 0, **item, **own))
    return Asked(tuple(items), prompt, chosen.note if chosen is not None else None)
