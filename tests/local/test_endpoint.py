"""A local endpoint is a real HTTP server that is gone when its context exits, whatever happens."""

from __future__ import annotations

import json
import os
import shutil
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from local.processes import entrypoints, eventually, finish, lensa, read_until
from PIL import Image

from lensa.avatar import Avatar
from lensa.errors import BusyError, ConfigError, EndpointError


def ping(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/ping", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_it_answers_and_is_gone_when_the_context_exits(micro_avatar: Avatar) -> None:
    with pytest.raises(RuntimeError, match="of the user"), micro_avatar.deploy() as endpoint:
        assert ping(endpoint.url)
        gallery = endpoint.generate("as an astronaut", count=3, seed=5, steps=2)
        again = endpoint.generate("as an astronaut", count=2, seed=5, steps=2)
        assert [image.data for image in again] == [image.data for image in gallery[:2]]
        assert gallery[0].prompt == "a photo of ohwx person as an astronaut"
        assert [(image.seed, image.index) for image in gallery] == [(5, 0), (5, 1), (5, 2)]
        assert gallery.pictures()[0].size == (32, 32)

        styled = endpoint.generate("smiling", style="pencil-sketch", steps=2, expand=True, seed=1)
        assert styled[0].prompt.startswith("a photo of ohwx person smiling, pencil sketch")

        with pytest.raises(ConfigError, match="Did you mean 'guidance_scale'"):
            endpoint.generate("x", guidance=3)

        # A port that is taken is said by the second, and the first goes on.
        port = int(endpoint.url.rpartition(":")[2])
        with pytest.raises(BusyError, match=f"port {port} is taken"):
            micro_avatar.deploy(port=port)
        assert ping(endpoint.url)
        raise RuntimeError("an error of the user's own")
    assert not ping(endpoint.url)
    assert not endpoint.alive()
    with pytest.raises(EndpointError, match="Deploy the avatar again"):
        endpoint.generate("x")
    endpoint.close()  # once more does nothing


def test_deploy_ends_with_its_client_even_when_that_is_killed(micro_avatar: Avatar) -> None:
    for end in (signal.SIGINT, signal.SIGKILL):
        process = lensa("deploy", micro_avatar.path, "--json")
        url = read_until(process, lambda line: "url" in line)["url"]
        assert ping(url)
        process.send_signal(end)
        finish(process)
        assert eventually(lambda url=url: not ping(url))  # type: ignore[misc]
        assert eventually(lambda: not entrypoints(micro_avatar.path.parent))


def test_many_images_come_in_parts_and_are_the_same(micro_avatar: Avatar) -> None:
    fields = {"prompt": "me at sea", "count": 6, "seed": 5, "steps": 2}
    with micro_avatar.deploy() as endpoint:
        whole = endpoint.generate(**fields)
        body = json.dumps(fields).encode()
        headers = {"Content-Type": "application/json"}
        call = urllib.request.Request(f"{endpoint.url}/invocations", body, headers)
        with urllib.request.urlopen(call, timeout=60) as answer:
            at_once = json.load(answer)["images"]
        rest = endpoint.generate(**{**fields, "index": 4, "count": 2})
        drawn = endpoint.generate("me", count=5, steps=1)
    assert [image.data for image in whole] == [image["data"] for image in at_once]
    assert [image.data for image in rest] == [image.data for image in whole[4:]]
    assert [image.index for image in whole] == list(range(6))
    assert len({image.seed for image in drawn}) == 1  # drawn once, for all parts


def test_an_image_begun_with_a_picture_is_made_again_with_it(
    micro_avatar: Avatar, tmp_path: Path
) -> None:
    picture = Image.linear_gradient("L").convert("RGB")
    picture.save(tmp_path / "begin.png")
    with micro_avatar.deploy() as endpoint:
        asked = {"image": tmp_path / "begin.png", "strength": 0.5, "steps": 4, "seed": 5}
        (first,) = endpoint.generate("me in oil", **asked)
        (plain,) = endpoint.generate("me in oil", steps=4, seed=5)
        (again,) = endpoint.generate_like(first, image=tmp_path / "begin.png")
        (other,) = endpoint.generate_like(first, image=picture, prompt="me in ink")
        with pytest.raises(ConfigError, match="begun with an image"):
            endpoint.generate_like(first)
    assert again.data == first.data != plain.data
    assert other.data != first.data and "in ink" in other.prompt


def test_an_avatar_with_half_a_file_is_not_served(micro_avatar: Avatar, tmp_path: Path) -> None:
    copy = shutil.copytree(micro_avatar.path, tmp_path / "copy")
    manifest = json.loads((micro_avatar.path / "avatar.json").read_text())
    name = next(file["path"] for file in manifest["files"] if file["path"].endswith(".safetensors"))
    os.truncate(copy / name, 100)
    code, lines, err = finish(lensa("generate", copy, "x", "--json"))
    assert code == 1
    assert name in err
    assert "images" not in lines[-1]
