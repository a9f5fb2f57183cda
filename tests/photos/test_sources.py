"""Photos come as people have them: folders, files, lists, pictures in memory, a bucket."""

from __future__ import annotations

import io
from pathlib import Path

import boto3
import pytest
from photos.sets import astronaut_photos
from PIL import Image, ImageChops, ImageStat

from lensa.client import Client
from lensa.errors import AccountError, ConfigError, PhotosError
from lensa.photos.examine import examine
from lensa.photos.formats import Unusable
from lensa.photos.prepare import load_photos
from lensa.photos.sources import find_sources, named_after
from lensa.testing import SagemakerTwin


@pytest.fixture
def astronaut(tmp_path: Path) -> Path:
    return astronaut_photos(tmp_path / "ada", count=4)


def names(*given: object, **options: bool) -> list[str]:
    return [source.name for source in find_sources(*given, **options)]


# -- on this machine


def test_folders_inside_are_entered_when_asked_to(astronaut: Path, tmp_path: Path) -> None:
    inside = astronaut / "day 2" / "evening"
    inside.mkdir(parents=True)
    (astronaut / ".thumbnails").mkdir()
    for path in (inside / "10.jpg", inside / "9.jpg", astronaut / ".thumbnails" / "1.jpg"):
        path.write_bytes((astronaut / "1.jpg").read_bytes())
    (inside / "round").symlink_to(astronaut)  # a circle
    flat = ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert names(astronaut) == flat
    deep = [*flat, "day 2/evening/9.jpg", "day 2/evening/10.jpg"]
    assert names(astronaut, recursive=True) == deep
    assert names(str(tmp_path), recursive=True) == [f"ada/{name}" for name in deep]
    with pytest.raises(PhotosError, match=r"Is it a folder in it \(ada\)\? With `recursive`"):
        find_sources(tmp_path)


def test_a_tree_without_photos(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(PhotosError, match="or below"):
        find_sources(tmp_path, recursive=True)


def test_of_a_live_photo_the_still_is_taken(astronaut: Path) -> None:
    still = (astronaut / "1.jpg").read_bytes()
    film = b"\0\0\0\x14ftypqt  " + bytes(99)
    for name, data in {
        "IMG_1.HEIC": still,
        "IMG_1.MOV": film,
        "img_2.jpg": still,
        "IMG_2.mp4": film,
        "IMG_3.MOV": film,  # a film of its own
    }.items():
        (astronaut / name).write_bytes(data)
    assert names(astronaut)[4:] == ["IMG_1.HEIC", "img_2.jpg", "IMG_3.MOV"]
    assert "a video" in load_photos(astronaut, 64).rejected["IMG_3.MOV"]


def test_a_list_of_anything(astronaut: Path, tmp_path: Path) -> None:
    elsewhere = astronaut_photos(tmp_path / "elsewhere", count=1)
    with (astronaut / "2.jpg").open("rb") as file, Image.open(astronaut / "3.jpg") as lazy:
        picture = Image.open(astronaut / "4.jpg").convert("RGB")
        given = [
            astronaut / "1.jpg",
            file,
            io.BytesIO((astronaut / "2.jpg").read_bytes()),
            lazy,
            picture,
            elsewhere,
            str(astronaut / "1.jpg"),
        ]
        photos = load_photos(given, 64)
        again = load_photos(given, 64)  # nothing was used up
        assert file.tell() == 0
        assert picture.size == (600, 600)
    assert [photo.name for photo in photos.photos] == ["1.jpg", "2.jpg", "3.jpg", "image 5"]
    assert photos.digests == again.digests
    assert photos.rejected["1.jpg (2)"].startswith("same picture as 1.jpg")
    assert photos.rejected["1.jpg (3)"].startswith("same picture as 1.jpg")
    assert photos.rejected["file 3"].startswith("same picture as 2.jpg")
    there, here = (
        Image.open(io.BytesIO(one.photos[2].png)) for one in (photos, load_photos(astronaut, 64))
    )
    assert max(ImageStat.Stat(ImageChops.difference(there, here)).mean) < 3, "upright as well"


def test_what_cannot_be_a_photo_in_a_list_is_refused(astronaut: Path, tmp_path: Path) -> None:
    good = list(astronaut.iterdir())
    with pytest.raises(PhotosError, match="int is nothing that photos are in"):
        find_sources([*good, 3])  # type: ignore[list-item]
    with pytest.raises(PhotosError, match="No photos were given"):
        find_sources([])
    with pytest.raises(PhotosError, match="No such folder"):
        find_sources([*good, tmp_path / "nowhere.jpg"])
    for path in ("a\0b", "x" * 5000):
        with pytest.raises(PhotosError, match=r"cannot be opened|No such folder"):
            find_sources(path)
    (tmp_path / "text").write_text("x")
    with (tmp_path / "text").open() as text:
        photos = load_photos([*good, text, Image.new("RGB", (8, 8)), io.BytesIO()], 64)
    assert "opened as text" in photos.rejected["text"]
    assert "8 x 8 px is too small" in photos.rejected["image 6"]
    assert "0 bytes" in photos.rejected["file 7"]


def test_a_closed_picture_is_refused_and_an_open_one_is_left_alone(astronaut: Path) -> None:
    with Image.open(astronaut / "1.jpg") as closed:
        pass
    with pytest.raises(PhotosError, match="damaged"):
        load_photos([closed], 64, least=1)
    with Image.open(astronaut / "3.jpg") as image:
        exif, size = image.getexif()[0x0112], image.size
        assert exif == 6
        load_photos([image, image, image], 64, least=1)
        assert (image.getexif()[0x0112], image.size) == (exif, size)
        assert "exif" in image.info


def test_one_photo_is_a_source_too(astronaut: Path) -> None:
    assert names(astronaut / "1.jpg") == ["1.jpg"]
    with pytest.raises(PhotosError, match="1 usable photo, 4 are needed"):
        load_photos(astronaut / "1.jpg", 64)


def test_a_subject_is_named_after_what_was_given(tmp_path: Path) -> None:
    assert named_after(tmp_path / "Ada Lovelace") == "Ada-Lovelace"
    assert named_after(str(tmp_path / "ada.zip")) == "ada"
    assert named_after("s3://bucket/photos/ada/") == "ada"
    with pytest.raises(ConfigError, match="subject='ada'"):
        named_after([tmp_path])


# -- in a bucket


@pytest.fixture
def bucket(sagemaker_twin: SagemakerTwin, astronaut: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    client = boto3.client("s3")
    for path in astronaut.iterdir():
        client.upload_file(str(path), sagemaker_twin.bucket, f"photos/ada/{path.name}")
    for key in ("photos/ada/old/5.jpg", "photos/ada/notes.txt", "photos/ada/", "photos/adam/1.jpg"):
        client.put_object(Bucket=sagemaker_twin.bucket, Key=key, Body=b"")
    return sagemaker_twin.bucket


def test_photos_in_s3_are_as_good_as_their_folder(bucket: str, astronaut: Path) -> None:
    client = Client(base="micro")
    here = client.check(astronaut, kind="object").photo_set
    for address in (f"s3://{bucket}/photos/ada", f"s3://{bucket}/photos/ada/"):
        there = client.check(address, kind="object").photo_set
        assert there.digests == here.digests
        assert [photo.name for photo in there.photos] == [f"{i}.jpg" for i in range(1, 5)]
        assert there.rejected == {}
    deep = client.check(f"s3://{bucket}/photos/ada", kind="object", recursive=True)
    assert "0 bytes" in deep.photo_set.rejected["old/5.jpg"]


def test_an_address_in_s3_that_leads_nowhere(bucket: str) -> None:
    client = Client(base="micro")
    with pytest.raises(PhotosError, match="names no bucket"):
        client.check("s3://")
    with pytest.raises(PhotosError, match="No photos in s3://"):
        client.check(f"s3://{bucket}/nowhere")
    with pytest.raises(AccountError):
        client.check("s3://no-such-bucket-of-ours/ada")
    with pytest.raises(PhotosError, match="read by lensa"):
        examine(f"s3://{bucket}/photos/ada", 64)


def test_an_object_that_goes_meanwhile_costs_that_photo_alone(
    bucket: str, sagemaker_twin: SagemakerTwin
) -> None:
    sources = find_sources(f"s3://{bucket}/photos/ada", buckets=Client()._preparation.objects)
    boto3.client("s3").delete_object(Bucket=bucket, Key="photos/ada/2.jpg")
    with pytest.raises(Unusable, match="no longer in the bucket"):
        sources[1].open()
    with sources[0].open() as stream:  # type: ignore[union-attr]
        assert stream.read(3) == b"\xff\xd8\xff"
