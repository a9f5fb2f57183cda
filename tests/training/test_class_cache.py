"""Class images are drawn once for all jobs that would draw the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from PIL import Image
from training.running import Job, make_job, tiny_config

from inference_entrypoint.micro import build_micro
from lensa.contract import BASES
from lensa.contract.class_cache import class_cache_key
from lensa.contract.environment import CLASS_CACHE
from training_entrypoint.class_images import class_images
from training_entrypoint.deadline import Deadline
from training_entrypoint.report import Report
from training_entrypoint.stopping import StopRequest


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six class images, as one job draws them."""
    job = make_job(tmp_path_factory.mktemp("drawn"), class_images=6, steps=1)
    job.run()
    return images(job)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def account(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


def images(job: Job) -> list[Path]:
    return sorted((job.layout.checkpoints / "class_images").iterdir())


def cached(job: Job, files: list[Path]) -> None:
    job.layout.class_cache.mkdir(parents=True)
    for file in files:
        (job.layout.class_cache / file.name).write_bytes(file.read_bytes())


def same(one: list[Path], other: list[Path]) -> bool:
    return [(p.name, p.read_bytes()) for p in one] == [(p.name, p.read_bytes()) for p in other]


@pytest.mark.parametrize("count", [1, 4, 5])
def test_an_image_does_not_depend_on_how_many_are_asked_for(
    tmp_path: Path, drawn: list[Path], count: int
) -> None:
    job = make_job(tmp_path, class_images=count, steps=1)
    job.run()
    assert same(images(job), drawn[:count])


def test_every_batch_is_of_one_size_also_the_last(tmp_path: Path) -> None:
    """The size of a batch can change the last bit of a pixel; on some machines only."""
    job = make_job(tmp_path, class_images=6)
    pipeline, sizes = build_micro(), []
    pipeline.unet.register_forward_pre_hook(lambda unet, given: sizes.append(len(given[0])))
    deadline = Deadline(None, job.layout.checkpoints, "job")
    report = Report(lambda line: None)
    files = class_images(pipeline, job.config, job.layout, report, StopRequest(), deadline)
    assert files == images(job)
    # Two batches of four, of two steps: the first with guidance and without, the second without.
    assert sizes == [8, 4] * 2


def test_what_the_cache_has_is_not_drawn(tmp_path: Path, drawn: list[Path]) -> None:
    job = make_job(tmp_path, class_images=3, steps=1)
    cached(job, drawn)
    job.run()
    assert same(images(job), drawn[:3])
    assert "class_images" not in [event["stage"] for event in job.events("stage")]


def test_what_the_cache_lacks_or_has_damaged_is_drawn(tmp_path: Path, drawn: list[Path]) -> None:
    job = make_job(tmp_path, class_images=6, steps=1)
    cached(job, drawn[:4])
    (job.layout.class_cache / "0001.png").write_bytes(drawn[1].read_bytes()[:100])
    Image.new("RGB", (64, 64)).save(job.layout.class_cache / "0002.png")
    (job.layout.class_cache / "0003.png").write_text("no image")
    job.run()
    assert same(images(job), drawn)
    notices = [event["message"] for event in job.events("notice")]
    assert notices == [
        "3 class images of the cache cannot be used (0001.png first): they are drawn again.",
        "1 of 6 class images come from the cache.",
    ]


def test_what_was_drawn_is_left_for_the_next_job(
    tmp_path: Path, drawn: list[Path], account: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = boto3.client("s3")
    client.create_bucket(Bucket="shared")
    monkeypatch.setenv(CLASS_CACHE, "s3://shared/lensa/class-images/0123")
    job = make_job(tmp_path, class_images=6, steps=1)
    cached(job, drawn[:4])
    job.run()
    found = client.list_objects_v2(Bucket="shared")["Contents"]
    keys = [each["Key"] for each in found]
    assert keys == [f"lensa/class-images/0123/{n:04d}.png" for n in (4, 5)]
    body = client.get_object(Bucket="shared", Key=keys[0])["Body"].read()
    assert body == drawn[4].read_bytes()


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("s3://nobodys-bucket/class-images", "NoSuchBucket"),
        ("https://shared/class-images", "not s3://bucket/prefix"),
    ],
)
def test_what_cannot_be_left_is_a_notice(
    tmp_path: Path, account: None, monkeypatch: pytest.MonkeyPatch, place: str, reason: str
) -> None:
    monkeypatch.setenv(CLASS_CACHE, place)
    job = make_job(tmp_path, steps=1)
    assert job.run() == 1
    (notice,) = job.events("notice")
    assert "could not be kept for later jobs" in notice["message"]
    assert reason in notice["message"]


def test_the_users_own_images_are_neither_replaced_nor_left_for_others(
    tmp_path: Path, drawn: list[Path], account: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = boto3.client("s3")
    client.create_bucket(Bucket="private")
    monkeypatch.setenv(CLASS_CACHE, "s3://private/class-images")
    job = make_job(tmp_path, class_images=2, steps=1)
    cached(job, drawn)
    job.layout.class_images.mkdir(parents=True)
    for file in drawn[3:5]:
        (job.layout.class_images / file.name).write_bytes(file.read_bytes())
    job.run()
    assert not (job.layout.checkpoints / "class_images").exists()
    assert client.list_objects_v2(Bucket="private")["KeyCount"] == 0


def test_the_key_follows_from_what_is_drawn_and_from_nothing_of_the_subject() -> None:
    key = class_cache_key(tiny_config(), "1")
    same_images = {
        "class_images": 99,
        "subject_id": "another1",
        "instance_prompt": "{subject}, a photo",
        "steps": 9,
        "token": "zwx",
    }
    for field, value in same_images.items():
        assert class_cache_key(tiny_config(**{field: value}), "1") == key, field
    others = {
        "class_prompt": "a {class_noun}",
        "class_noun": "man",
        "class_image_steps": 3,
        "class_image_guidance": 5.0,
        "seed": 1,
        "resolution": 40,
        "base": BASES["mini"],
    }
    keys = {class_cache_key(tiny_config(**{field: value}), "1") for field, value in others.items()}
    keys |= {key, class_cache_key(tiny_config(), "2")}
    assert len(keys) == len(others) + 2


def test_on_one_machine_the_next_training_takes_them_from_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CLASS_CACHE, str(tmp_path / "home"))
    first = make_job(tmp_path / "first", class_images=3)
    first.run()
    (kept,) = (tmp_path / "home").iterdir()
    damaged = sorted(kept.iterdir())[1]
    damaged.write_bytes(damaged.read_bytes()[:50])

    second = make_job(tmp_path / "second", class_images=3, subject_id="9zzz0000")
    second.run()
    said = [event["message"] for event in second.events("notice")]
    assert "2 of 3 class images come from the cache." in said
    drawn = [
        sorted((job.layout.checkpoints / "class_images").glob("*.png")) for job in (first, second)
    ]
    assert [path.read_bytes() for path in drawn[0]] == [path.read_bytes() for path in drawn[1]]

    assert damaged.read_bytes() == drawn[0][1].read_bytes()  # mended, too

    other = make_job(tmp_path / "other", class_images=3, class_prompt="a drawing of a {class_noun}")
    other.run()
    assert len(list((tmp_path / "home").iterdir())) == 2
