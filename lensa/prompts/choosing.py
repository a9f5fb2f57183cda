"""Several styles at once: "all", "pack:art", "anime,neon"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lensa.errors import ConfigError, NotFoundError, suggest
from lensa.prompts.styles import Style, style, styles

ALL, PACK = "all", "pack:"
_OF_BASE = {"mini": "mini"}  # base -> the one pack that it was taught


@dataclass(frozen=True)
class Chosen:
    """The styles that were asked for, each once, and what there is to say of the choice."""

    styles: tuple[Style, ...]
    note: str | None = None


def choose_styles(
    words: str | Sequence[str], *, base: str | None = None, extra: Path | None = None
) -> Chosen:
    """Return the styles named by `words`: "all", "pack:NAME", names, or several of these, as a list
    or with commas between.

    On a `base` that was taught one pack alone, "all" means that pack; the note says so. Raises
    NotFoundError for an unknown style or pack, ConfigError if nothing is named.
    """
    listed = words.split(",") if isinstance(words, str) else words
    asked = [word.strip() for word in listed if word.strip()]
    if not asked:
        raise ConfigError("no style is named: say all, pack:NAME, or names with commas between.")
    found: dict[str, Style] = {}
    note = None
    for word in asked:
        if word.lower() == ALL:
            own = _OF_BASE.get(base or "")
            members = list(styles(extra).values()) if own is None else _pack(own, extra)
            if own is not None:
                note = (
                    f"on the base {base}, all means the {len(members)} styles of the pack {own!r}: "
                    "it was taught no others. Name a pack to draw it all the same."
                )
        elif word.lower().startswith(PACK):
            members = _pack(word[len(PACK) :].strip().lower(), extra)
        else:
            members = [style(word, extra)]
        found |= {member.name: member for member in members}
    return Chosen(tuple(found.values()), note)


def _pack(name: str, extra: Path | None) -> list[Style]:
    packs = styles(extra).packs
    # The user writes it as he likes; the file's name stays as he made it.
    for pack, members in packs.items():
        if pack.lower() == name:
            return members
    raise NotFoundError(f"No pack of styles is called {name!r}.{suggest(name, packs)}")
