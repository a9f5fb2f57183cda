"""Where a user meets the report: the avatar's own paths, a notebook, the command line."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pytest
from conftest import TINY
from typer.testing import CliRunner

from lensa.avatar import Avatar
from lensa.backends.sagemaker.hosting.composing import Served, copies_of, manifest_blob
from lensa.cli import app
from lensa.contract import AvatarManifest, FileRecord


def test_an_avatar_knows_its_report_and_its_chart(micro_avatar: Avatar) -> None:
    assert micro_avatar.report is not None
    assert micro_avatar.chart is not None
    assert micro_avatar.report.read_text().startswith("<!doctype html>")
    assert micro_avatar.chart.read_bytes().startswith(b"\x89PNG")


def test_a_notebook_shows_the_report_in_a_frame_that_runs_nothing(micro_avatar: Avatar) -> None:
    shown = micro_avatar._repr_html_()
    assert 'sandbox=""' in shown
    _, _, inner = shown.partition('srcdoc="')
    assert html.unescape(inner.partition('"')[0]) == micro_avatar.read("report.html").decode()


def test_an_avatar_without_a_report_shows_its_name(
    micro_avatar: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = micro_avatar.manifest.model_copy(update={"files": ()})
    monkeypatch.setitem(micro_avatar.__dict__, "manifest", old)  # trained before there were any
    assert micro_avatar.report is None
    assert micro_avatar.chart is None
    assert "iframe" not in micro_avatar._repr_html_()
    assert micro_avatar.id in micro_avatar._repr_html_()


def test_an_endpoint_of_a_lora_is_sent_the_weights_alone(micro_avatar: Avatar) -> None:
    """Photos are in the report: they do not travel where nobody looks at them."""
    sent = [copy.target for copy in copies_of(micro_avatar.manifest, "there")]
    assert sent == ["there/pytorch_lora_weights.safetensors"]


def test_nor_is_an_endpoint_of_full_weights_sent_the_photos_in_the_report(
    micro_avatar: Avatar,
) -> None:
    """And its manifest lists what is there, no more: the server looks for every file in it."""
    lora = micro_avatar.manifest
    unet = FileRecord(path="unet/model.safetensors", size=9, sha256="0" * 64)
    seen = tuple(file for file in lora.files if not file.path.endswith(".safetensors"))
    assert "report.html" in {file.path for file in seen}
    config = lora.config.model_copy(update={"method": "full"})
    full = lora.model_copy(update={"config": config, "files": (*seen, unet)})
    served = Served("lensa-ada", {}, (full,))
    sent = [copy.target for copy in served.copies]
    assert sent == [f"{served.key}/unet/model.safetensors"]
    blob = manifest_blob(full, served.key)
    assert isinstance(blob.data, bytes)
    assert AvatarManifest.model_validate_json(blob.data).files == (unet,)


def test_the_command_says_where_it_lies(
    micro_avatar: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same call is the same job: here it finds the finished avatar."""
    home = micro_avatar.path.parents[4]
    assert (home / "jobs").is_dir()
    monkeypatch.setenv("LENSA_HOME", str(home))
    options = [f"--set={name}={json.dumps(value)}" for name, value in TINY.items()
               if name != "base"]  # fmt: skip
    photos = str(home.parent / "photos")
    command = ["train", photos, "--subject", "ada", "--base", "micro", "--yes", *options]
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 0, told.output
    assert f"how it went: {micro_avatar.report}" in told.stdout
    attached = CliRunner().invoke(app, ["attach", micro_avatar.id, "--json"])
    assert Path(json.loads(attached.stdout.splitlines()[-1])["report"]).is_file()
