"""Pushing to the hub: what goes there, what never does, and what the hub says no to.

The client is huggingface_hub's own; the hub is a server of ours that keeps what it is sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
import yaml
from exporting.avatars import made
from exporting.uploads import TOKEN, Stored, UploadHub, upload_hub
from huggingface_hub import constants
from inference.making import config, difference, draw, fresh_micro, write_manifest

from inference_entrypoint.artifact import LORA_FILE
from inference_entrypoint.exporting.__main__ import export
from lensa.contract import BaseModelRef, VaeRef
from lensa.contract.exports import ExportRequest
from lensa.errors import AccountError, ConfigError, ServiceError

REPO = "ada/me"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[UploadHub]:
    with upload_hub() as running:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        huggingface_hub.close_session()
        yield running
        huggingface_hub.close_session()


def push(folder: Path, format: str = "lora", **fields: object) -> dict[str, object]:
    request = {"avatar": str(folder), "format": format, "push": REPO, **fields}
    return export(ExportRequest(**request))


def card(stored: Stored) -> tuple[dict[str, object], str]:
    """The settings at the head of the model card, and its text."""
    _, head, text = stored.files["README.md"].decode().split("---", 2)
    return yaml.safe_load(head), text


def test_a_lora_goes_to_a_private_repository_and_draws_the_same_from_there(
    hub: UploadHub, tmp_path: Path
) -> None:
    folder, wanted = made(tmp_path, train_text_encoder=True, lora_alpha=8)
    answer = push(folder)
    stored = hub.repositories[REPO]
    assert stored.private and stored.commits == 1
    assert stored.files.keys() == {"README.md", LORA_FILE}
    assert answer["url"] == f"{hub.url}/{REPO}" and answer["path"] is None
    (tmp_path / "back.safetensors").write_bytes(stored.files[LORA_FILE])
    pipeline = fresh_micro()
    pipeline.load_lora_weights(str(tmp_path), weight_name="back.safetensors")
    assert difference(draw(pipeline).images[0], wanted) <= 1


@pytest.mark.parametrize(
    ("format", "files"),
    [
        ("kohya", {"lensa-7k2m0000-1f3a9c2e.safetensors"}),
        ("checkpoint", {"lensa-7k2m0000-1f3a9c2e.safetensors"}),
        ("diffusers", {"model_index.json", "unet/config.json", "tokenizer/tokenizer.json"}),
    ],
)
def test_every_form_can_be_pushed_and_kept_here_too(
    hub: UploadHub, tmp_path: Path, format: str, files: set[str]
) -> None:
    folder, _ = made(tmp_path)
    out = tmp_path / ("ada" if format == "diffusers" else "ada.safetensors")
    push(folder, format, out=str(out))
    found = hub.repositories[REPO].files
    assert files < found.keys()
    for name in files - {"lensa-7k2m0000-1f3a9c2e.safetensors"}:
        assert found[name] == (out / name).read_bytes()
    # The name that the file has here may be the subject's.
    assert not [name for name in found if "ada" in name]
    assert not [name for name, content in found.items() if b"ada.safetensors" in content]


def test_the_card_says_what_it_is_and_warns_of_the_likeness(
    hub: UploadHub,
    tmp_path: Path,
) -> None:
    folder, _ = made(tmp_path)
    base = BaseModelRef(name="theirs", source="hub", location="someone/model")
    hub.repositories["someone/model"] = Stored(False, card={"license": "creativeml-openrail-m"})
    vae = VaeRef(source="hub", location="someone/vae")
    write_manifest(folder, config(base=base, vae=vae), photo_digests=("a" * 64,) * 6)
    push(folder)
    head, text = card(hub.repositories[REPO])
    assert head["license"] == "creativeml-openrail-m"
    assert head["base_model"] == "someone/model"
    assert head["instance_prompt"] == "a photo of ohwx person"
    assert {"lora", "dreambooth"} <= set(head["tags"])
    assert "on 6 photos. In a prompt `ohwx person` stands for one person." in text
    assert "The photos are not here" in text
    assert "trained with `someone/vae`: use it in the place of the base's own" in text
    assert "This draws a real person" in text
    assert f'load_lora_weights("{REPO}"' in text


def test_of_a_base_that_is_not_on_the_hub_the_card_says_neither_folder_nor_licence(
    hub: UploadHub,
    tmp_path: Path,
) -> None:
    folder, _ = made(tmp_path)
    base = BaseModelRef(name="ada", source="folder", location="/home/ada/models/ada")
    vae = VaeRef(source="folder", location="/home/ada/vae")
    write_manifest(folder, config(base=base, vae=vae, kind="pet", class_noun="dog"))
    push(folder)
    head, text = card(hub.repositories[REPO])
    assert "license" not in head and "base_model" not in head
    assert "real person" not in text and "licence is not known" in text
    assert "trained with a VAE that is not on the hub" in text
    assert not [c for c in hub.repositories[REPO].files.values() if b"/home/ada" in c]


def test_a_public_repository_is_written_to_only_on_request(
    hub: UploadHub,
    tmp_path: Path,
) -> None:
    folder, _ = made(tmp_path)
    hub.repositories[REPO] = Stored(private=False)
    with pytest.raises(ConfigError, match="everybody can read it"):
        push(folder)
    assert hub.repositories[REPO].commits == 0
    push(folder, public=True)
    assert hub.repositories[REPO].commits == 1
    push(folder, push="ada/new", public=True)
    assert not hub.repositories["ada/new"].private


def test_the_hub_says_no(hub: UploadHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = made(tmp_path)
    hub.read_only.add("others")
    with pytest.raises(AccountError, match="may not write to others/me"):
        push(folder, push="others/me")
    hub.repositories[REPO] = Stored(private=True)
    hub.broken = True
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client's patience, not ours
    with pytest.raises(ServiceError, match="the hub failed"):
        push(folder)
    out = tmp_path / "out.safetensors"
    for token, message in (("hf_old", "does not accept this token"), ("", "needs a token")):
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(AccountError, match=message):
            push(folder, out=str(out))
    assert not out.exists()  # asked before the work


def test_no_hub_at_all(hub: UploadHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = made(tmp_path)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match="cannot be reached"):
        push(folder)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()
    with pytest.raises(ServiceError, match="cannot be reached"):
        push(folder)


def test_nothing_but_the_export_and_its_card_goes_along(
    hub: UploadHub,
    tmp_path: Path,
) -> None:
    folder, _ = made(tmp_path)
    (folder / "samples").mkdir()
    (folder / "samples" / "0.png").write_bytes(b"a face")
    write_manifest(folder, config(), photo_digests=("d" * 64,))
    push(folder)
    everything = b"".join(hub.repositories[REPO].files.values())
    assert b"a face" not in everything and b"d" * 64 not in everything
    assert "avatar.json" not in json.dumps(list(hub.repositories[REPO].files))
