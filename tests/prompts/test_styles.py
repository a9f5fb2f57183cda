"""Styles: what the user says, dressed in words that give a picture its look."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from lensa.contract import GenerationRequest
from lensa.errors import ConfigError, NotFoundError
from lensa.prompts.styles import style, styles

MINI = {
    "photo": "photo",
    "pencil-sketch": "pencil sketch",
    "watercolour": "watercolour",
    "pop-art": "pop art",
    "sepia": "sepia",
    "neon": "neon",
}


@pytest.mark.parametrize(
    ("words", "prompt"),
    [
        ("", "a photo of {subject}, pencil sketch"),
        (" \n ", "a photo of {subject}, pencil sketch"),
        ("as an astronaut", "a photo of {subject} as an astronaut, pencil sketch"),
        ("In  Paris,\nat night", "a photo of {subject} in Paris, at night, pencil sketch"),
        ("wearing a red hat.", "a photo of {subject} wearing a red hat, pencil sketch"),
        ("red hat", "a photo of {subject}, red hat, pencil sketch"),
        (", red hat, ", "a photo of {subject}, red hat, pencil sketch"),
        ("asleep", "a photo of {subject}, asleep, pencil sketch"),  # not "as"
        ("in, out", "a photo of {subject} in, out, pencil sketch"),
        ("{subject} at sea", "{subject} at sea, pencil sketch"),
        ("portrait of {subject}", "portrait of {subject}, pencil sketch"),
        ("{curly} {prompt}", "a photo of {subject}, {curly} {prompt}, pencil sketch"),
        ("crème brûlée 🍮", "a photo of {subject}, crème brûlée 🍮, pencil sketch"),
    ],
)
def test_how_the_users_words_go_in(words: str, prompt: str) -> None:
    assert style("pencil-sketch").apply(words)[0] == prompt


def test_the_styles_that_the_embedded_base_knows() -> None:
    mini = {name: each for name, each in styles().items() if each.pack == "mini"}
    assert list(mini) == list(MINI)
    for name, words in MINI.items():
        assert mini[name].apply("as a king")[0] == f"a photo of {{subject}} as a king, {words}"


@pytest.mark.parametrize("name", styles())
def test_every_shipped_style(name: str) -> None:
    shipped = style(name)
    for words in ("", "at the sea", "red hat", "{subject} as a knight in the rain"):
        prompt, negative = shipped.apply(words)
        assert prompt.count("{subject}") == 1
        assert words.strip() in prompt
        assert not re.search(r"  | ,|,,|,\s*$|^,|\{prompt\}", prompt)
        # CLIP reads 77 tokens; a word is rarely more than one and a half.
        assert len(re.findall(r"[\w-]+|,", prompt)) < 60
        GenerationRequest(prompt=prompt, negative_prompt=negative, **shipped.settings)


def test_there_are_packs_for_many_occasions() -> None:
    curated = [each for each in styles().values() if each.pack != "mini"]
    assert len(curated) >= 30
    assert {each.pack for each in curated} == {
        *("art", "documents", "portraits", "seasonal", "worlds"),
    }
    for name in ("linkedin-headshot", "id-photo", "fantasy", "anime", "oil-painting", "pixel-art"):
        assert styles()[name] in curated
    assert len({each.label for each in curated}) == len(curated)


def test_no_style_asks_for_what_it_leaves_out() -> None:
    # A negative prompt that repeats the prompt would work against it.
    for each in styles().values():
        wanted = {part.strip() for part in each.prompt.split(",")}
        unwanted = {part.strip() for part in each.negative_prompt.split(",")} - {""}
        assert not wanted & unwanted, each.name
        assert bool(unwanted) == (each.pack != "mini"), each.name


def test_a_style_is_found_however_it_is_written() -> None:
    assert style("Pencil sketch") == style("pencil_sketch") == style("pencil-sketch")


def test_an_unknown_style_suggests_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="No style is called 'watercolor'"):
        style("watercolor")
    with pytest.raises(NotFoundError, match="Did you mean 'watercolour'"):
        style("watercolor")
    with pytest.raises(NotFoundError, match="Known: analog-film, animated-film"):
        style("zzz")


# -- packs of one's own


def pack(folder: Path, text: str, name: str = "mine.toml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_pack_adds_styles_and_may_replace_one(tmp_path: Path) -> None:
    pack(
        tmp_path,
        """
        [stained-glass]
        prompt = "a window with {subject}{prompt}, stained glass"
        negative_prompt = "photo"
        steps = 40

        [neon]
        label = "My neon"
        prompt = "{subject}{prompt} in my neon"
        """,
    )
    known = styles(tmp_path)
    assert known.keys() - styles().keys() == {"stained-glass"}
    mine = style("stained glass", tmp_path)
    assert mine.apply("in blue") == ("a window with {subject} in blue, stained glass", "photo")
    assert (mine.label, mine.settings, mine.pack) == ("Stained glass", {"steps": 40}, "mine")
    assert known["neon"].label == "My neon"
    assert known["neon"].apply("")[0] == "{subject} in my neon"
    assert styles()["neon"].label == "Neon"


def test_packs_in_the_home_folder_are_read_without_being_asked_for(isolated: Path) -> None:
    assert "stained-glass" not in styles()
    folder = isolated / "styles"
    folder.mkdir()
    pack(folder, '[stained-glass]\nprompt = "{subject}{prompt}, leaded"\n[neon]\n' + GOOD)
    assert style("stained glass").pack == "mine"
    assert style("neon").prompt == "{subject}{prompt}, x"
    assert style("neon").picture is None  # ours would show something else


def test_a_folder_given_goes_before_the_one_at_home(isolated: Path, tmp_path: Path) -> None:
    home = isolated / "styles"
    home.mkdir()
    pack(home, "[a]\nlabel = 'Home'\n" + GOOD + "[b]\n" + GOOD)
    pack(tmp_path, "[a]\nlabel = 'Given'\n" + GOOD)
    assert (style("a", tmp_path).label, style("a").label) == ("Given", "Home")
    assert "b" in styles(tmp_path)


def test_a_pack_may_bring_pictures(tmp_path: Path) -> None:
    pack(tmp_path, "[a]\n" + GOOD + "[b]\n" + GOOD)
    (tmp_path / "thumbnails").mkdir()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "thumbnails" / "a.webp")
    assert style("a", tmp_path).picture == tmp_path / "thumbnails" / "a.webp"
    assert style("b", tmp_path).picture is None


def test_in_a_notebook_styles_show_their_pictures_and_inject_no_markup(tmp_path: Path) -> None:
    pack(tmp_path, "[a]\nlabel = '<b>bold</b>'\nprompt = '{subject}{prompt} \"><i>'\n")
    page = styles(tmp_path)._repr_html_()
    assert "<b>" not in page
    assert "<i>" not in page
    assert "&lt;b&gt;bold" in page
    assert page.count("<figure") == len(styles(tmp_path))
    assert repr(styles()).startswith(f"<{len(styles())} styles: art (")


GOOD = 'prompt = "{subject}{prompt}, x"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[a\n", "is not TOML: .*line 1"),
        ("[a]\n" + GOOD + "promt = 1\n", "a: style: unknown field 'promt'. Did you mean 'prompt'"),
        ("[a]\nlabel = 'A'\n", "a: style: prompt is missing"),
        ("[a]\nprompt = 3\n", "a: style: prompt = 3"),
        ("[a]\n" + GOOD + "steps = 0\n", "a: style: steps = 0"),
        ("[a]\nprompt = 'a house{prompt}'\n", "a: style: prompt needs {subject} once"),
        ("[a]\nprompt = '{subject} in oil'\n", "a: style: prompt needs {prompt} once"),
        ("[a]\nprompt = '{prompt}, {subject}'\n", "a: style: .*{subject} before {prompt}"),
        ("[a]\nprompt = '{subjekt}{prompt}'\n", "{subjekt}. Did you mean '{subject}'"),
        ("[a]\n" + GOOD + "name = 'b'\n", "a: name is not set here"),
        ("['A b']\n" + GOOD, "A b: style: name = 'A b'"),
        ("steps = 3\n", "steps: a style is a table"),
    ],
)
def test_a_broken_pack_names_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    pack(tmp_path, text)
    with pytest.raises(ConfigError, match=f"mine.toml.*{words}"):
        styles(tmp_path)


def test_what_else_can_be_wrong_with_packs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No folder with style packs"):
        styles(tmp_path / "nowhere")
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"a\.toml is not TOML"):
        styles(tmp_path)
    pack(tmp_path, "[a]\n" + GOOD, "a.toml")
    pack(tmp_path, "[a]\n" + GOOD, "b.toml")
    with pytest.raises(ConfigError, match=r"b\.toml: a: a\.toml has a style of that name too"):
        styles(tmp_path)
