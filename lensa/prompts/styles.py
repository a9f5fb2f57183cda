"""Styles: prompt templates by name, read from packs in TOML.

A pack is one file; each of its tables is a style:

    [pencil-sketch]
    label = "Pencil sketch"
    prompt = "a photo of {subject}{prompt}, pencil sketch"
    negative_prompt = "colour"
    guidance_scale = 6.0

`{prompt}` is where the user's words go, with the comma or space that they need.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from lensa.contract._model import Contract
from lensa.errors import ConfigError, NotFoundError, suggest
from lensa.prompts.words import check_template, fill

_PACKS = Path(__file__).parent / "packs"


class Style(Contract):
    """A look, for any subject."""

    title: ClassVar[str] = "style"

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
    pack: str  # the file that it is from, without .toml
    label: Annotated[str, Field(min_length=1, max_length=60)]
    prompt: Annotated[str, Field(max_length=2000)]
    negative_prompt: Annotated[str, Field(max_length=2000)] = ""
    # What it wants of the sampler; None leaves that to the request.
    steps: Annotated[int, Field(ge=1, le=200)] | None = None
    guidance_scale: Annotated[float, Field(ge=1, le=50)] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The fields of a GenerationRequest that the style sets."""
        return self.model_dump(include={"steps", "guidance_scale"}, exclude_none=True)

    def check(self) -> None:
        check_template(self.prompt)

    def apply(self, prompt: str = "") -> tuple[str, str]:
        """Return the prompt, `{subject}` left in it, and the negative prompt.

        The user's `prompt` may be empty, go on from the subject ("as an astronaut"), add to it
        ("red hat"), or name it ("portrait of {subject} at sea") and so replace what the style
        begins with.
        """
        return fill(self.prompt, prompt), self.negative_prompt


def styles(extra: Path | None = None) -> dict[str, Style]:
    """Return every style by name: lensa's own, then those of the packs in the folder `extra`,
    which may replace them. Raises ConfigError, naming file and key, if a pack cannot be read."""
    own = dict(_own())
    if extra is None:
        return own
    if not extra.is_dir():
        raise ConfigError(f"No folder with style packs at {extra}.")
    return own | _read_folder(extra)


def style(name: str, extra: Path | None = None) -> Style:
    """Return a style by name ("pencil-sketch"; "Pencil sketch" will do). Raises NotFoundError."""
    known = styles(extra)
    key = "-".join(name.lower().replace("_", " ").replace("-", " ").split())
    if key not in known:
        raise NotFoundError(f"No style is called {name!r}.{suggest(key, known)}")
    return known[key]


@cache
def _own() -> dict[str, Style]:
    return _read_folder(_PACKS)


def _read_folder(folder: Path) -> dict[str, Style]:
    found: dict[str, Style] = {}
    for path in sorted(folder.glob("*.toml")):
        for one in _read_pack(path):
            if one.name in found:
                other = found[one.name].pack
                raise ConfigError(f"{path}: {one.name}: {other}.toml has a style of that name too.")
            found[one.name] = one
    return found


def _read_pack(path: Path) -> Iterator[Style]:
    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {name}: a style is a table, [{name}].")
        if given := {"name", "pack"} & table.keys():
            raise ConfigError(
                f"{path}: {name}: {given.pop()} is not set here; the table's name is."
            )
        try:
            yield Style.model_validate(
                {"label": _label(name), **table, "name": name, "pack": path.stem}
            )
        except ConfigError as error:
            raise ConfigError(f"{path}: {name}: {error}") from None


def _label(name: str) -> str:
    return name.replace("-", " ").capitalize()
