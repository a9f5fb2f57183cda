"""Several concepts in one avatar: `concepts_list.json`, as ShivamShrirao's DreamBooth reads it.

    [{"instance_prompt": "photo of zwx dog", "class_prompt": "photo of a dog",
      "instance_data_dir": "data/rex", "class_data_dir": "data/dogs"}, ...]

Folders are relative to the file. The token is the word that the class prompt lacks, and the class
noun what stands behind it; `token`, `class_noun`, `kind` and `name` say them outright. Without an
`instance_prompt` there has to be a `class_noun`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from lensa.contract import KINDS, BaseModelRef, Concept
from lensa.contract.concepts import STYLE_CLASS_PROMPT, STYLE_PROMPT
from lensa.errors import ConfigError, suggest

ConceptsInput: TypeAlias = str | os.PathLike[str] | Sequence[Mapping[str, Any]]

_FOLDERS = ("instance_data_dir", "class_data_dir")
_WORDS = ("instance_prompt", "class_prompt", "token", "class_noun", "kind", "name")
_MOST = 10

_PEOPLE_WORDS = """
    person people man woman boy girl child kid baby toddler lady guy gentleman human face
    teenager adult actor actress couple
"""
_PEOPLE = frozenset(_PEOPLE_WORDS.split())
_PETS_WORDS = """
    pet dog puppy cat kitten horse pony rabbit bird parrot hamster
"""
_PETS = frozenset(_PETS_WORDS.split())
_NO_TOKEN_WORDS = """
    a an the of my in by with and on photo photograph picture image portrait painting
    drawing style closeup close-up
"""
_NO_TOKEN = frozenset(_NO_TOKEN_WORDS.split())


@dataclass(frozen=True)
class GivenConcept:
    """One entry: its folders, and what it says of its words."""

    where: str  # for errors: "concepts_list.json, entry 2"
    photos: Path
    class_photos: Path | None
    words: dict[str, str]


def read_concepts(given: ConceptsInput) -> tuple[GivenConcept, ...]:
    """Return the entries of a file, or of a list of mappings like it.

    A `class_data_dir` that is empty or not there means class images that are still to be drawn.
    Raises ConfigError naming the entry and the field.
    """
    if isinstance(given, str | os.PathLike):
        path = Path(given).expanduser()
        name, folder, entries = path.name, path.parent, _entries(path)
    else:
        name, folder, entries = "concepts", Path(), given
    if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
        raise ConfigError(f"{name}: it has to be a list of concepts, with one at least.")
    if len(entries) > _MOST:
        raise ConfigError(f"{name}: {len(entries)} concepts, and {_MOST} are the most.")
    return tuple(
        _entry(f"{name}, entry {number}", folder, entry)
        for number, entry in enumerate(entries, start=1)
    )


def name_concepts(
    given: Sequence[GivenConcept], base: BaseModelRef, kind: str | None = None
) -> tuple[Concept, ...]:
    """Return the words of each entry: those that it has, the token and noun in its prompts, and
    the base's rare words for those without a token. `kind` is that of entries without one.

    Raises ConfigError naming the entry and the field.
    """
    said = [_words(one, kind) for one in given]
    taken = {words["token"] for words in said if "token" in words}
    free = [token for token in base.tokens if token not in taken]
    concepts: list[Concept] = []
    for one, words in zip(given, said, strict=True):
        if "token" not in words:
            if not free:
                raise ConfigError(f"{one.where}: token: {base.name} has no more; name one.")
            words["token"] = free.pop(0)
        try:
            concept = Concept.model_validate(words)
        except ConfigError as error:
            raise ConfigError(f"{one.where}: {str(error).removeprefix('concept: ')}") from None
        for other, before in zip(concepts, given, strict=False):
            if other.token == concept.token:
                raise ConfigError(f"{one.where}: token {concept.token!r} is {before.where}'s too.")
        concepts.append(concept)
    return tuple(concepts)


def _entries(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be opened: {error.strerror}.") from None
    except ValueError as error:
        raise ConfigError(f"{path.name} is not JSON: {error}.") from None


def _entry(where: str, folder: Path, entry: Any) -> GivenConcept:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where}: it has to be an object with an instance_data_dir.")
    for field, value in entry.items():
        if field not in (*_FOLDERS, *_WORDS):
            raise ConfigError(f"{where}: unknown field {field!r}.{suggest(field, _known())}")
        kinds = (str, os.PathLike) if field in _FOLDERS else str
        if value is not None and not isinstance(value, kinds):
            raise ConfigError(f"{where}: {field} has to be a text, not {str(value)[:40]!r}.")
    words = {field: entry[field].strip() for field in _WORDS if entry.get(field)}
    if not entry.get("instance_data_dir"):
        raise ConfigError(f"{where}: instance_data_dir is missing.")
    photos = _path(folder, entry["instance_data_dir"])
    if not photos.exists():
        raise ConfigError(f"{where}: instance_data_dir: no such folder: {photos}.")
    own = _path(folder, entry["class_data_dir"]) if entry.get("class_data_dir") else None
    if own is not None and own.exists() and not own.is_dir():
        raise ConfigError(f"{where}: class_data_dir: {own} is no folder.")
    kind = words.get("kind")
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"{where}: unknown kind {kind!r}.{suggest(kind, KINDS)}")
    if "instance_prompt" not in words and "class_noun" not in words:
        raise ConfigError(f"{where}: instance_prompt is missing.")
    filled = own is not None and own.is_dir() and any(own.iterdir())
    return GivenConcept(where, photos, own if filled else None, words)


def _known() -> list[str]:
    return [*_FOLDERS, *_WORDS]


def _path(folder: Path, given: str | os.PathLike[str]) -> Path:
    return folder / Path(given).expanduser()


def _words(one: GivenConcept, kind: str | None) -> dict[str, Any]:
    """Return the fields of a Concept that an entry comes to; the token may be lacking."""
    words: dict[str, Any] = dict(one.words)
    prompt = words.get("instance_prompt", "{subject}")
    if "{subject}" not in prompt:
        token, noun = _read(one, prompt, words)
        words |= {"token": token.lower()} | ({"class_noun": noun} if noun else {})
        kind_now = _kind_of(words, kind)
        together = f"{token} {noun}" if noun and kind_now != "style" else token
        words["instance_prompt"] = re.sub(
            rf"(?<!\w){re.escape(together)}(?!\w)", "{subject}", prompt, count=1
        )
        if "{subject}" not in words["instance_prompt"]:
            raise ConfigError(
                f"{one.where}: instance_prompt {prompt!r} does not have {together!r} in it: "
                "write {subject} where it belongs."
            )
    words["kind"] = _kind_of(words, kind)
    if "class_noun" not in words:
        if words["kind"] != "style":
            raise ConfigError(
                f"{one.where}: class_noun: the prompts do not say what {words.get('token')!r} is: "
                'write "photo of TOKEN NOUN", or add "class_noun".'
            )
        words["class_noun"] = "picture"
    if words["kind"] == "style":
        words = {"instance_prompt": STYLE_PROMPT, "class_prompt": STYLE_CLASS_PROMPT} | words
    return words


def _read(one: GivenConcept, prompt: str, words: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the token as it is written in a prompt, and the noun behind it, if there is one."""
    known = {word.lower() for word in _split(words.get("class_prompt", ""))}
    found = _split(prompt)
    if "token" in words:
        places = [i for i, word in enumerate(found) if word.lower() == words["token"].lower()]
    else:
        places = [
            i
            for i, word in enumerate(found)
            if word.lower() not in known | _NO_TOKEN and re.fullmatch(r"[A-Za-z0-9]{2,24}", word)
        ]
    if not places:
        raise ConfigError(
            f"{one.where}: instance_prompt {prompt!r} has no token: no word that the class prompt "
            'lacks. Put a rare word before the noun, as in "photo of ohwx dog".'
        )
    # "photo of TOKEN dog", but "a lake in the style of TOKEN".
    place = places[-1 if "style" in found[: places[-1]] else 0]
    if "class_noun" in words:
        return found[place], words["class_noun"]
    noun: list[str] = []
    for word in found[place + 1 :]:
        behind = word.lower() not in known if known else bool(noun)  # the noun, or one word
        if behind or word.lower() in _NO_TOKEN:
            break
        noun.append(word)
    return found[place], " ".join(noun) or None


def _split(prompt: str) -> list[str]:
    return re.findall(r"[\w-]+|[^\w\s]", prompt)


def _kind_of(words: Mapping[str, str], given: str | None) -> str:
    if "kind" in words or given is not None:
        return words.get("kind") or str(given)
    if "class_noun" not in words:
        return "style" if "style" in _split(words.get("instance_prompt", "")) else "object"
    noun = words["class_noun"].split()[-1].lower()
    if noun in _PEOPLE:
        return "person"
    return "pet" if noun in _PETS else "object"
