"""Several styles at once: all, a pack, a list."""

from __future__ import annotations

from pathlib import Path

import pytest

from lensa.errors import ConfigError, NotFoundError
from lensa.prompts.choosing import choose_styles
from lensa.prompts.styles import styles


def names(*arguments: object, **options: object) -> list[str]:
    return [style.name for style in choose_styles(*arguments, **options).styles]  # type: ignore[arg-type]


def test_all_is_every_style() -> None:
    assert names("all") == names(" ALL ", base="sd15") == list(styles())
    assert choose_styles("all", base="sd15").note is None


def test_on_the_embedded_base_all_is_what_it_was_taught_and_that_is_said() -> None:
    chosen = choose_styles("all", base="mini")
    assert {style.pack for style in chosen.styles} == {"mini"}
    assert chosen.note is not None
    assert "on the base mini, all means the 6 styles of the pack 'mini'" in chosen.note


def test_a_pack_that_is_named_is_drawn_on_any_base() -> None:
    chosen = choose_styles("pack:seasonal", base="mini")
    assert {style.pack for style in chosen.styles} == {"seasonal"}
    assert chosen.note is None


def test_names_are_kept_in_order_and_once_each() -> None:
    assert names("Neon, oil painting,neon") == ["neon", "oil-painting"]
    assert names(["neon", "pack:mini"])[0] == "neon"
    assert len(names(["neon", "pack:mini"])) == 6


def test_packs_of_ones_own_count(tmp_path: Path) -> None:
    (tmp_path / "Mine.toml").write_text('[a]\nprompt = "{subject}{prompt}, a"\n')
    assert names("pack:mine", extra=tmp_path) == names("a", extra=tmp_path) == ["a"]
    assert "a" in names("all", extra=tmp_path)


@pytest.mark.parametrize("words", ["", " , ", []])
def test_nothing_is_no_choice(words: str) -> None:
    with pytest.raises(ConfigError, match="no style is named: say all, pack:NAME"):
        choose_styles(words)


def test_what_is_unknown_is_refused_with_a_suggestion() -> None:
    with pytest.raises(NotFoundError, match=r"'neom'\. Did you mean 'neon'"):
        choose_styles("photo,neom")
    with pytest.raises(NotFoundError, match=r"'portrait'\. Did you mean 'portraits'"):
        choose_styles("pack:portrait")
