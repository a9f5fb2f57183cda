"""Styles: prompt templates by name, read from packs in TOML.

A pack is one file; each of its tables is a style:

    [pencil-sketch]
    label = "Pencil sketch"
    prompt = "a photo of {subject}{prompt}, pencil sketch"
    negative_prompt = "colour"
    guidance_scale = 6.0

`{prompt}` is where the user's words go, with the comma or space that they need. Packs of one's own
lie in the folder `styles` of LENSA_HOME; docs/styles.md says how to write one.
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
from lensa.prompts.collection import Styles
from lensa.prompts.words import check_template, fill

_PACKS = Path(__file__).parent / "packs"
_PICTURES = Path(__file__).parent / "thumbnails"
_GIVEN = ("name", "pack", "picture")  # by where a style stands, not by what its table says


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
    # What the embedded base is asked for to draw its picture (mini/thumbnails.py); the picture.
    thumbnail: Annotated[str, Field(max_length=300)] | None = None
    picture: Path | None = None

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


def styles(extra: Path | None = None) -> Styles[Style]:
    """Return every style by name: lensa's own, those of the user's packs in LENSA_HOME/styles, and
    those in the folder `extra`. Later ones replace earlier ones of the same name.

    Raises ConfigError, naming file and key, if a pack cannot be read.
    """
    found = dict(own_styles())
    users = _users_folder()
    if users.is_dir():
        found |= _read_folder(users)
    if extra is not None:
        if not extra.is_dir():
            raise ConfigError(f"No folder with style packs at {extra}.")
        found |= _read_folder(extra)
    return Styles(found)


def style(name: str, extra: Path | None = None) -> Style:
    """Return a style by name ("pencil-sketch"; "Pencil sketch" will do). Raises NotFoundError."""
    known = styles(extra)
    key = "-".join(name.lower().replace("_", " ").replace("-", " ").split())
    if key not in known:
        raise NotFoundError(f"No style is called {name!r}.{suggest(key, known)}")
    return known[key]


def _users_folder() -> Path:
    from lensa.settings import load_settings

    return load_settings().home_path / "styles"


@cache
def own_styles() -> dict[str, Style]:
    """Return the styles that lensa comes with, by name."""
    return _read_folder(_PACKS, _PICTURES)


def _read_folder(folder: Path, pictures: Path | None = None) -> dict[str, Style]:
    found: dict[str, Style] = {}
    for path in sorted(folder.glob("*.toml")):
        for one in _read_pack(path, pictures or folder / "thumbnails"):
            if one.name in found:
                other = found[one.name].pack
                raise ConfigError(f"{path}: {one.name}: {other}.toml has a style of that name too.")
            found[one.name] = one
    return found


def _read_pack(path: Path, pictures: Path) -> Iterator[Style]:
    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {name}: a style is a table, [{name}].")
        for key in _GIVEN:
            if key in table:
                raise ConfigError(f"{path}: {name}: {key} is not set here; leave it out.")
        picture = pictures / f"{name}.webp"
        given = {
            "label": _label(name),
            **table,
            "name": name,
            "pack": path.stem,
            "picture": picture if picture.is_file() else None,
        }
        try:
            yield Style.model_validate(given)
        except ConfigError as error:
            raise ConfigError(f"{path}: {name}: {error}") from None


def _label(name: str) -> str:
    return name.replace("-", " ").capitalize()
