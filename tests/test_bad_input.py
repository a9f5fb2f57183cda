"""Bad input is one clear error with exit code 2, before anything is started, leaving nothing."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import write_photos
from local.processes import settings
from PIL import Image
from requirements import need, need_tmpfs
from typer.testing import CliRunner

from lensa.avatar import Avatar
from lensa.cli import app

Spoil = Callable[[Path], None]


def fill(folder: Path, name: str, spoil: Spoil) -> None:
    """Three good photos and one that cannot be used: one too few."""
    write_photos(folder, count=3)
    spoil(folder / name)


def truncated(path: Path) -> None:
    Image.effect_noise((200, 200), 90).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def huge(path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(path, compress_level=1)


def animated(path: Path) -> None:
    frames = [Image.new("RGB", (64, 64), (shade, 0, 0)) for shade in (0, 99, 200)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


PHOTOS: dict[str, tuple[str, Spoil, str]] = {
    "a text file named .jpg": ("x.jpg", lambda p: p.write_text("hello") and None, "not a picture"),
    "a truncated JPEG": ("x.jpg", truncated, "incomplete or damaged"),
    "a 1x1 image": ("x.png", lambda p: Image.new("RGB", (1, 1)).save(p), "1 x 1"),
    "a 20,000 x 20,000 image": ("x.png", huge, "20000 x 20000"),
    "an animated GIF": ("x.gif", animated, "animated"),
}

ARGUMENTS: dict[str, tuple[list[str], str]] = {
    "a name with spaces": (["--subject", "Ada Lovelace"], "Try 'ada-lovelace'"),
    "a name with slashes": (["--subject", "../ada"], "Try 'ada'"),
    "a name with emoji": (["--subject", "ada\U0001f600"], "letters, digits"),
    "a name of 300 characters": (["--subject", "x" * 300], "300 characters"),
    "steps 0": (["--set", "steps=0"], "steps = 0"),
    "learning rate 5": (["--learning-rate", "5"], "learning_rate = 5"),
    "an unknown base": (["--base", "sd51"], "Did you mean 'sd15'?"),
    "an unknown field": (["--set", "stepz=9"], "Did you mean 'steps'?"),
    "an unknown kind": (["--kind", "persn"], "Did you mean 'person'?"),
    "an unknown method": (["--method", "dreambooth"], "Known: full, lora"),
    "an unknown backend": (["--backend", "gcp"], "Known: local"),
    "a field without a value": (["--set", "steps"], "FIELD=VALUE"),
    "a checkpoint that can run code": (["--base", "model.ckpt"], "Convert it to .safetensors"),
}


def refused(home: Path, *arguments: str | Path) -> str:
    """Run the command line; return its one error. Nothing may be left below the home."""
    before = sorted(home.rglob("*"))
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 2, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert sorted(home.rglob("*")) == before
    return result.stderr


@pytest.mark.parametrize("name", PHOTOS)
def test_a_photo_that_leaves_too_few(name: str, tmp_path: Path, isolated: Path) -> None:
    file, spoil, reason = PHOTOS[name]
    fill(tmp_path / "photos", file, spoil)
    error = refused(isolated, "train", tmp_path / "photos", "--subject", "ada", *settings())
    assert file in error
    assert reason in error, error
    assert "3" in error and "4" in error  # how many there are, how many it takes


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_argument_that_cannot_be(name: str, photos: Path, isolated: Path) -> None:
    more, words = ARGUMENTS[name]
    given = [] if "--base" in more else settings()[:2]
    assert words in refused(isolated, "train", photos, *given, *more)


def test_a_folder_that_is_not_there_or_empty(tmp_path: Path, isolated: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("nowhere", "empty"):
        assert folder in refused(isolated, "train", tmp_path / folder, "--base", "micro")


def test_a_photo_without_permission(tmp_path: Path, isolated: Path) -> None:
    """As root everything is readable, so the command runs without that power."""
    folder = write_photos(tmp_path / "photos", count=4)
    (folder / "3.png").chmod(0)
    command = [sys.executable, "-c", "from lensa.cli import main; main()", "train", str(folder)]
    powers = "-dac_override,-dac_read_search"
    if os.geteuid() == 0:
        need("setpriv", shutil.which("setpriv") is not None, "setpriv (util-linux)")
        command = ["setpriv", f"--bounding-set={powers}", f"--inh-caps={powers}", *command]
    result = subprocess.run([*command, *settings()], capture_output=True, text=True)
    assert result.returncode == 2
    assert "3.png" in result.stderr
    assert "permission" in result.stderr.lower()
    assert list(isolated.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate", "nobody", "x"], "There are none yet"),
        (["deploy", "nobody"], "There are none yet"),
        (["logs", "lensa-x"], "no job 'lensa-x'"),
        (["stop", "lensa-x"], "no job 'lensa-x'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_not_there(arguments: list[str], words: str, isolated: Path) -> None:
    assert words in refused(isolated, *arguments)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--count", "0"], "count = 0"),
        (["--style", "pensil-sketch"], "Did you mean 'pencil-sketch'?"),
        (["--set", "sead=3"], "Did you mean 'seed'?"),
        (["--guidance-scale", "nan"], "guidance_scale = nan"),
        (["--set", "width=100"], "width = 100"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_request_that_cannot_be(
    more: list[str], words: str, isolated: Path, micro_avatar: Avatar
) -> None:
    assert words in refused(isolated, "generate", micro_avatar.path, "x", *more)


def test_a_folder_for_the_images_that_cannot_be(
    isolated: Path, micro_avatar: Avatar, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    error = refused(
        isolated, "generate", micro_avatar.path, "x", "--out", tmp_path / "file" / "out"
    )
    assert "cannot be written" in error


def test_a_port_that_is_taken(isolated: Path, micro_avatar: Avatar) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = f"port {port} is taken"
        assert words in refused(isolated, "deploy", micro_avatar.path, "--port", port)


def test_a_home_that_is_a_file(
    photos: Path, isolated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LENSA_HOME", str(tmp_path / "file"))
    assert "LENSA_HOME" in refused(isolated, "train", photos, *settings())


@pytest.mark.parametrize("size", ["64k", "1500k"], ids=["the photos", "the training"])
def test_a_disk_that_fills(size: str, tmp_path: Path) -> None:
    """On a real file system with room for nothing, or for the photos but not for the training."""
    need_tmpfs()
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(5):
        Image.effect_noise((128, 128), 80 + index).convert("RGB").save(folder / f"{index}.png")
    home = tmp_path / "home"
    home.mkdir()
    # Photos of 64 px do not fit; with those of 32 px, the full weights' first checkpoint does not.
    options = settings(base="mini") if size == "64k" else [*settings(), "--method", "full"]
    script = f"""
        mount -t tmpfs -o size={size} tmpfs {home}
        export LENSA_HOME={home}
        "$@"
        code=$?
        find {home} -name '*.partial' -o -name '.step*' -o -name staging -o -name avatar.json
        exit $code
    """
    result = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-c", script, "sh"),
            *(sys.executable, "-c", "from lensa.cli import main; main()"),
            *("train", str(folder), "--subject", "ada", *options),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 2, result.stderr
    assert "disk is full" in result.stderr.lower()
    assert result.stdout.strip() == ""  # nothing half-written is left
