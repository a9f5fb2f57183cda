"""`lensa export` and Avatar.export: a process does the work; what cannot work is said before it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from exporting.uploads import TOKEN, upload_hub
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

from lensa.avatar import Avatar
from lensa.cli import app
from lensa.client import Client
from lensa.errors import ArtifactError, ConfigError, StorageError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["export", *(str(argument) for argument in arguments)])


def full(avatar: Avatar, folder: Path) -> Avatar:
    """The same avatar, said to have full weights."""
    shutil.copytree(avatar.path, folder)
    manifest = json.loads((folder / "avatar.json").read_text())
    manifest["config"]["method"] = "full"
    (folder / "avatar.json").write_text(json.dumps(manifest))
    return Client().avatar(str(folder))


def test_a_lora_for_other_programs_and_where_it_goes(micro_avatar: Avatar, tmp_path: Path) -> None:
    out = tmp_path / "ada.safetensors"
    result = run(micro_avatar.path, "--to", "kohya", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert str(out) in result.stdout
    assert "models/Lora; prompt: <lora:ada:1> a photo of ohwx person" in result.stdout
    assert "models/loras" in result.stdout
    assert {name.split("_")[1] for name in load_file(out)} == {"unet"}
    assert sorted(tmp_path.iterdir()) == [out]


def test_in_python_into_a_folder(micro_avatar: Avatar, tmp_path: Path) -> None:
    made = micro_avatar.export("checkpoint", tmp_path, precision="fp32")
    assert made.path == tmp_path / f"{micro_avatar.id}-checkpoint.safetensors"
    assert made.path.stat().st_size == made.size
    assert any(name.startswith("first_stage_model.") for name in load_file(made.path))
    assert made.notes and "models/checkpoints" in made.usage[1]


def test_a_push_asks_for_consent_and_says_where_it_went(
    micro_avatar: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    with upload_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        refused = run(micro_avatar.path, "--push", "ada/me")
        assert refused.exit_code == 2
        assert "likeness of a person" in refused.stderr
        assert hub.repositories == {}
        result = run(micro_avatar.path, "--push", "ada/me", "--consent", "--json")
        assert result.exit_code == 0, result.stderr
        said = json.loads(result.stdout)
        assert (said["url"], said["path"]) == (f"{hub.url}/ada/me", None)
        assert hub.repositories["ada/me"].private
        assert "pytorch_lora_weights.safetensors" in hub.repositories["ada/me"].files


def test_what_the_process_refuses_is_the_same_error_here(
    micro_avatar: Avatar, tmp_path: Path
) -> None:
    copy = shutil.copytree(micro_avatar.path, tmp_path / "copy")
    file = copy / "pytorch_lora_weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\1")
    with pytest.raises(ArtifactError, match="was altered"):
        Client().avatar(str(copy)).export("kohya", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "kohia"], "unknown export format 'kohia'. Did you mean 'kohya'?"),
        (["--to", "kohya", "--precision", "fp8"], "unknown precision 'fp8'"),
        (["--to", "lora", "--precision", "fp16"], "copied as it is"),
        (["--to", "kohya", "--ckpt"], "--ckpt) is about a checkpoint"),
        (["--to", "kohya", "--out", "out.ckpt"], "ends in .safetensors"),
        (["--to", "checkpoint", "--ckpt", "--out", "x.safetensors"], "ends in .ckpt"),
        (["--push", "me", "--consent"], "push = 'me'"),
        (["--push", "a/b", "--to", "checkpoint", "--ckpt", "--consent"], "it can run code"),
        (["--public"], "about --push"),
    ],
)
def test_what_cannot_work_is_said_before_anything_starts(
    micro_avatar: Avatar, options: list[str], message: str, tmp_path: Path
) -> None:
    result = run(micro_avatar.path, *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(Path.cwd().iterdir()) == []


def test_a_file_that_is_there_is_not_overwritten(micro_avatar: Avatar, tmp_path: Path) -> None:
    (tmp_path / "out.safetensors").write_text("precious")
    with pytest.raises(StorageError, match=r"is there already.*--force"):
        micro_avatar.export("kohya", tmp_path / "out.safetensors")
    assert (tmp_path / "out.safetensors").read_text() == "precious"


def test_full_weights_have_no_lora_to_export(micro_avatar: Avatar, tmp_path: Path) -> None:
    avatar = full(micro_avatar, tmp_path / "full")
    with pytest.raises(ConfigError, match=r"has no LoRA to export.*checkpoint, diffusers"):
        avatar.export("kohya")
