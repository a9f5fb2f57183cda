"""Captions beside photos: read by the client, learned by the job, kept and gone with the photos."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from conftest import write_photos
from inference.making import micro
from training.running import make_job, tiny_config

from lensa.backends.base import TrainingPlan
from lensa.client import Client
from lensa.contract.concepts import Concept
from lensa.errors import PhotosError
from lensa.photos.captions import with_captions
from lensa.photos.photoset import PhotoSet
from lensa.photos.prepare import load_photos
from lensa.photos.showing.upload import Upload
from lensa.photos.sources import find_sources
from lensa.planning import PhotoReader, make_plan
from training_entrypoint.images import image_files
from training_entrypoint.inputs import find_photos
from training_entrypoint.prompts import Conditioning, Prompts, read_captions


def captioned(folder: Path, *names: str) -> PhotoSet:
    return with_captions(load_photos(folder, 32), find_sources(folder), names)


def by_name(photos: PhotoSet) -> dict[str, str]:
    return {photo.name: photo.caption for photo in photos.photos if photo.caption}


@pytest.mark.parametrize(
    ("caption", "prompt"),
    [
        ("{subject} on a beach", "ohwx dog on a beach"),
        ("a painting of OHWX, asleep", "a painting of OHWX, asleep"),
        ("in the snow", "a photo of ohwx dog in the snow"),
        ("red collar, ohwxes", "a photo of ohwx dog, red collar, ohwxes"),
        ("a {class_noun} among ducks", "a photo of ohwx dog, a dog among ducks"),
        ("curly {braces} 100%", "a photo of ohwx dog, curly {braces} 100%"),
    ],
)
def test_a_caption_names_the_subject_or_gets_the_instance_prompt_in_front(
    caption: str, prompt: str
) -> None:
    concept = Concept(kind="pet", token="ohwx", class_noun="dog")
    assert concept.caption(caption) == prompt


def test_the_text_beside_a_photo_is_its_caption_and_a_name_stays_here(photos: Path) -> None:
    (photos / "0.txt").write_text("\ufeffAda Lovelace\n  at the piano\n", encoding="utf-8")
    (photos / "1.txt").write_text("me, asleep")
    (photos / "2.txt").write_text(" \n")
    (photos / "holidays.txt").write_text("a note about nothing here")
    found = captioned(photos, "ada-lovelace")
    assert by_name(found) == {"0.png": "{subject} at the piano", "1.png": "{subject}, asleep"}
    assert "captions: 2 of 5 photos" in found.notes[-1]


def test_captions_come_in_a_zip_too(photos: Path, tmp_path: Path) -> None:
    (photos / "3.txt").write_text("in a hat")
    with zipfile.ZipFile(tmp_path / "ada.zip", "w") as archive:
        for path in photos.iterdir():
            archive.write(path, f"day 1/{path.name}")
    assert by_name(captioned(tmp_path / "ada.zip")) == {"day 1/3.png": "in a hat"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"caf\xe9 in the morning", "not UTF-8"),
        (b"word " * 5000, "more than 2000 characters"),
        (b"x" * 2001, "2001 characters"),
    ],
)
def test_a_caption_that_cannot_be_read_is_refused_by_name(
    photos: Path, content: bytes, reason: str
) -> None:
    (photos / "4.txt").write_bytes(content)
    with pytest.raises(PhotosError, match=f"caption of 4.png.*{reason}") as raised:
        captioned(photos)
    assert "--no-captions" in str(raised.value)


def test_other_captions_are_another_training_of_the_same_photos(photos: Path) -> None:
    plain = load_photos(photos, 32)
    (photos / "0.txt").write_text("in a hat")
    hat = captioned(photos)
    (photos / "0.txt").write_text("in a coat")
    coat = captioned(photos)
    assert len({plain.identity, hat.identity, coat.identity}) == 3
    assert plain.identity == plain.digests == hat.digests
    # In a folder that trainings share, neither takes the other's place.
    assert len({*hat.photos[0].files} | {*coat.photos[0].files}) == 3


def test_the_job_learns_each_photo_by_its_own_words(tmp_path: Path) -> None:
    job = make_job(tmp_path, steps=2, flip=True)
    (job.layout.photos / "1.txt").write_text("a drawing of {subject}")
    (job.layout.photos / "2.0a1b.txt").write_text("in the rain")
    found = find_photos(job.config, job.layout)
    assert found.prompts == [
        "a photo of ohwx person",
        "a drawing of ohwx person",
        "a photo of ohwx person in the rain",
        "a photo of ohwx person",
    ]
    prompts = Prompts()
    assert found.rows(prompts, views=2) == [0, 0, 1, 1, 2, 2, 0, 0]
    job.run()
    assert any("2 of 4 photos have captions" in said["message"] for said in job.events("notice"))


@pytest.mark.parametrize("trained", [False, True])
def test_the_unet_sees_the_words_of_the_photos_that_were_picked(trained: bool) -> None:
    prompts = Prompts(["one", "two", "class"], instance=[0, 1, 1], prior=[2, 2])
    config = tiny_config(train_text_encoder=trained)
    conditioning = Conditioning(micro(), config, prompts)
    rows = conditioning([2, 0], [1, 0])
    assert rows.shape[0] == 4
    alone = [conditioning([pick])[0] for pick in (0, 1)]
    assert rows[0].equal(alone[1]) and rows[1].equal(alone[0]) and rows[2].equal(rows[3])
    assert not rows[0].equal(rows[1])


def test_a_training_takes_captions_along_unless_told_not_to(
    client: Client, photos: Path, tmp_path: Path
) -> None:
    def plan(**options: bool) -> TrainingPlan:
        config = client.configure(base="micro")
        reader = PhotoReader(config.resolution, ("ada",), client._preparation.objects, **options)
        return make_plan(config, reader, photos, None)

    (photos / "0.txt").write_text("Ada in a hat")
    with_words, without = plan(), plan(captions=False)
    assert with_words.name != without.name
    with_words.photos.write(tmp_path / "channel")
    captions = read_captions(image_files(tmp_path / "channel"))
    assert list(captions.values()) == ["{subject} in a hat"]
    without.photos.write(tmp_path / "other")
    assert read_captions(image_files(tmp_path / "other")) == {}
    assert Upload.of(with_words.photos).captions == 1
    assert "with 1 caption" in "\n".join(
        Upload.of(with_words.photos, destination="s3://bucket").lines()
    )


def test_a_caption_of_a_style_is_left_as_it_is(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "drawings", 4)
    (folder / "0.txt").write_text("follow me to the lake")
    found = with_captions(load_photos(folder, 32), find_sources(folder), None)
    assert by_name(found) == {"0.png": "follow me to the lake"}
