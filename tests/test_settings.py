"""Settings: arguments before the environment before `lensa.toml`."""

from __future__ import annotations

from pathlib import Path

import pytest

from lensa.client import Client
from lensa.errors import ConfigError
from lensa.settings import load_settings


def test_the_nearest_source_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("lensa.toml").write_text('base = "realistic-vision"\n')
    assert load_settings().base == "realistic-vision"
    monkeypatch.setenv("LENSA_BASE", "mini")
    assert load_settings().base == "mini"
    assert load_settings(base="micro").base == "micro"
    assert Client().configure().base.name == "mini"


def test_without_any_there_are_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LENSA_HOME")
    settings = load_settings()
    assert (settings.backend, settings.base) == ("local", "sd15")
    assert settings.home_path == Path.home() / ".lensa"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("bsae = 'mini'", "unknown setting 'bsae'. Did you mean 'base'?"),
        ("base = ", "lensa.toml"),
        ("base = 3", "setting base"),
    ],
)
def test_a_file_that_is_wrong_is_named(content: str, words: str) -> None:
    Path("lensa.toml").write_text(content)
    with pytest.raises(ConfigError) as raised:
        load_settings(home=None)
    assert words in str(raised.value)
