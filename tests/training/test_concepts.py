"""Several concepts in one avatar: read from a concepts_list.json, trained, and named in prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import write_photos
from training.running import make_job

from inference_entrypoint.prompts import place_subject, place_subject_in
from lensa.backends.base import ConceptPhotos, TrainingPlan
from lensa.client import Client
from lensa.concepts import name_concepts, read_concepts
from lensa.contract import BASES, Concept, TrainingConfig
from lensa.errors import ConfigError, PhotosError
from lensa.photos.prepare import load_photos
from lensa.summary import opening
from training_entrypoint.inputs import find_photos

REX = Concept(kind="pet", name="rex", token="sks", class_noun="dog", class_prompt="a dog")


def written(folder: Path, entries: Any) -> Path:
    path = folder / "concepts_list.json"
    path.write_text(entries if isinstance(entries, str) else json.dumps(entries))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number, name in enumerate(("ada", "rex", "dogs")):
        write_photos(tmp_path / name, 4, seed=number)
    return tmp_path


ADA = {
    "instance_prompt": "photo of ukj person",
    "class_prompt": "photo of a person",
    "instance_data_dir": "ada",
    "class_data_dir": "people",
}
DOG = {
    "instance_prompt": "photo of zwx teddy dog, outdoors",
    "class_prompt": "photo of a teddy dog",
    "instance_data_dir": "rex",
    "class_data_dir": "dogs",
}


def test_the_file_of_other_tools_is_read_as_it_is(data: Path) -> None:
    given = read_concepts(written(data, [ADA, DOG]))
    assert [one.photos for one in given] == [data / "ada", data / "rex"]
    assert [one.class_photos for one in given] == [None, data / "dogs"]  # no people: to be drawn
    ada, dog = name_concepts(given, BASES["sd15"])
    assert (ada.kind, ada.token, ada.class_noun) == ("person", "ukj", "person")
    assert (dog.kind, dog.token, dog.class_noun) == ("pet", "zwx", "teddy dog")
    assert dog.instance_prompt == "photo of {subject}, outdoors"
    assert dog.fill(dog.instance_prompt) == DOG["instance_prompt"]
    assert ada.fill(ada.class_prompt) == ADA["class_prompt"]


def test_what_an_entry_does_not_say_is_chosen(data: Path) -> None:
    entries = [
        {"class_noun": "woman", "instance_data_dir": "ada"},
        {"class_noun": "teapot", "instance_data_dir": "rex", "token": "ohwx", "name": "pot"},
        {"instance_prompt": "a lake in the style of vxk", "instance_data_dir": "dogs",
         "kind": "style"},
    ]  # fmt: skip
    alone = {"kind": "style", "class_noun": "drawing", "instance_data_dir": "rex"}
    (drawing,) = name_concepts(read_concepts(written(data, [alone])), BASES["sd15"])
    assert drawing.fill(drawing.instance_prompt) == "a drawing in the style of ohwx"
    woman, pot, style = name_concepts(read_concepts(written(data, entries)), BASES["sd15"])
    assert (woman.kind, woman.token) == ("person", "sks")  # ohwx is the teapot's
    assert (pot.kind, pot.name, pot.subject) == ("object", "pot", "ohwx teapot")
    assert (style.subject, style.instance_prompt) == ("vxk", "a lake in the style of {subject}")


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ("{", ["concepts_list.json is not JSON"]),
        ("{}", ["a list of concepts"]),
        ([], ["a list of concepts"]),
        ([ADA, "rex"], ["entry 2", "an object"]),
        ([{**ADA, "instance_dir": "ada"}], ["entry 1: unknown field 'instance_dir'", "Did you"]),
        ([ADA, {"class_prompt": "a dog"}], ["entry 2: instance_data_dir is missing"]),
        ([{**ADA, "instance_data_dir": "nobody"}], ["entry 1: instance_data_dir: no such folder"]),
        ([{**ADA, "instance_data_dir": 7}], ["entry 1: instance_data_dir has to be a text"]),
        ([{**ADA, "class_data_dir": "ada/0.png"}], ["entry 1: class_data_dir", "no folder"]),
        ([{"instance_data_dir": "ada"}], ["entry 1: instance_prompt is missing"]),
        ([{**ADA, "kind": "cat"}], ["entry 1: unknown kind 'cat'", "pet, style"]),
        ([{**ADA, "instance_prompt": "photo of a person"}], ["entry 1: instance_prompt", "token"]),
        ([{**ADA, "instance_prompt": "photo of ukj"}], ["entry 1: class_noun"]),
        ([{**ADA, "token": "two words"}], ["entry 1", "no token"]),
        ([ADA, {**DOG, "instance_prompt": "photo of ukj teddy dog"}], ["entry 2: token 'ukj'"]),
        (
            [{**ADA, "class_prompt": "{subject} person"}],
            ["entry 1: class_prompt names the subject"],
        ),
        ([ADA] * 11, ["11 concepts"]),
    ],
    ids=str,
)
def test_a_bad_file_is_one_error_that_names_entry_and_field(
    data: Path, entries: Any, words: list[str]
) -> None:
    with pytest.raises(ConfigError) as raised:
        name_concepts(read_concepts(written(data, entries)), BASES["sd15"])
    for word in words:
        assert word in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json cannot be opened"):
        read_concepts(tmp_path / "none.json")


def test_a_plan_has_the_photos_and_class_images_of_each(client: Client, data: Path) -> None:
    concepts = written(data, [ADA, DOG])
    name, _, plan = client._preparation.plan(
        None, None, None, False, True, concepts=concepts, base="micro"
    )
    config = plan.config
    assert name == "ada"
    assert (config.token, config.class_noun, config.kind) == ("ukj", "person", "person")
    assert config.prior_preservation  # of a person, whatever is beside
    assert [concept.subject for concept in config.concepts] == ["zwx teddy dog"]
    assert [len(concept.photos.photos) for concept in plan.every_concept] == [4, 4]
    assert plan.class_photos is None
    assert plan.concepts[0].class_photos is not None
    assert config.validation_prompts == ("a photo of {subject}", "a photo of {subject2}")
    lines = "\n".join(opening(plan, name))
    assert "8 photos" in lines
    assert "pet: 'photo of zwx teddy dog, outdoors'" in lines
    assert plan.name != TrainingPlan(config, plan.photos).name


def test_photos_that_cannot_be_used_are_told_with_their_entry(client: Client, data: Path) -> None:
    (data / "rex" / "0.png").write_bytes(b"no picture")
    with pytest.raises(PhotosError, match=r"entry 2: instance_data_dir: .*3 usable photos"):
        client.train(concepts=written(data, [ADA, DOG]), base="micro")


@pytest.mark.parametrize("changes", [{}, {"concepts": "x.json", "photos": "p"}])
def test_photos_or_concepts_and_not_both(client: Client, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="give photos, or concepts"):
        client.train(**changes)


def test_one_avatar_learns_them_all(tmp_path: Path) -> None:
    job = make_job(
        tmp_path,
        steps=2,
        batch_size=2,
        concepts=(REX,),
        class_images=2,
        validation_prompts=("{subject} and {subject2}", "a drawing of {subject2}"),
    )
    write_photos(job.layout.photos_of(2), 3, side=32, seed=8)
    (job.layout.photos_of(2) / "0.txt").write_text("{subject} beside {subject1}")
    found = find_photos(job.config, job.layout)
    assert len(found.files) == 7
    assert found.prompts[4:] == [
        "sks dog beside ohwx person",
        "a photo of sks dog",
        "a photo of sks dog",
    ]
    job.run()
    manifest = job.manifest
    assert len(manifest.photo_digests) == 7
    assert len(manifest.token_pieces) == 2
    assert manifest.sample_prompts == ("ohwx person and sks dog", "a drawing of sks dog")
    folder = job.layout.checkpoints / "class_images"
    first, second = folder / "0000.png", folder / "concept-2" / "0000.png"
    assert first.read_bytes() != second.read_bytes()  # of a person, and of a dog


def test_a_concept_without_photos_is_said(tmp_path: Path) -> None:
    with pytest.raises(PhotosError, match="no photos of 'sks dog'"):
        make_job(tmp_path, concepts=(REX,)).run()


def test_class_images_of_one_prompt_are_drawn_once() -> None:
    twin = Concept(token="sks", class_noun="person")
    config = TrainingConfig(subject_id="7k2m0000", base=BASES["micro"], concepts=(twin, REX_2))
    assert config.drawn_classes() == [1, 3]
    assert config.drawn_classes(own=[1]) == [2, 3]
    alone = config.alone(3)
    assert (alone.subject, alone.concepts) == ("kts dog", ())


REX_2 = REX.model_copy(update={"token": "kts", "name": None})


def test_two_concepts_need_two_tokens() -> None:
    for concepts, word in (
        ((REX.model_copy(update={"token": "ohwx"}),), "token 'ohwx' is there twice"),
        ((REX, REX_2.model_copy(update={"name": "Rex"})), "name 'rex' is there twice"),
        ((REX_2.model_copy(update={"class_prompt": "a dog near ohwx"}),), "class_prompt of 'kts'"),
    ):
        with pytest.raises(ConfigError, match=word):
            TrainingConfig(subject_id="7k2m0000", base=BASES["micro"], concepts=concepts)


@pytest.mark.parametrize(
    ("prompt", "placed"),
    [
        ("{subject} with {subject2}", "ohwx person with sks dog"),
        ("me walking Rex", "ohwx person walking sks dog"),
        ("rex on a sofa", "sks dog on a sofa"),
        ("sks dog on a sofa", "sks dog on a sofa"),
        ("rexes on a sofa", "a photo of ohwx person, rexes on a sofa"),
        ("on a sofa", "a photo of ohwx person on a sofa"),
    ],
)
def test_a_prompt_names_the_others_by_number_token_or_name(prompt: str, placed: str) -> None:
    words = {"subject": "ohwx person", "class_noun": "person", "others": (REX,)}
    assert place_subject(prompt, **words).prompt == placed
    assert place_subject(placed, **words).prompt == placed
    assert place_subject_in("no rex", "ohwx person", "person", (REX,)) == "no sks dog"
    anyone = place_subject("{subject} with rex", **words, named=False).prompt
    assert anyone == "a person with a dog"


def test_names_are_not_looked_for_in_words_that_stand_for_a_concept() -> None:
    """A dog that is called "dog", and another subject that is called like a noun."""
    dog = REX.model_copy(update={"name": "dog"})
    man = REX_2.model_copy(update={"name": "man", "class_noun": "cat"})
    words = {"subject": "ohwx man", "class_noun": "man", "others": (dog, man)}
    for prompt, placed in (
        ("{subject1} with {subject2}", "ohwx man with sks dog"),
        ("me with a dog", "ohwx man with a sks dog"),
        ("ohwx man, sks dog and {subject3}", f"ohwx man, sks dog and {man.subject}"),
    ):
        assert place_subject(prompt, **words).prompt == placed
        assert place_subject(placed, **words).prompt == placed
    with pytest.raises(ConfigError, match="too short"):
        one = (REX.model_copy(update={"name": "a"}),)
        TrainingConfig(subject_id="7k2m0000", base=BASES["micro"], concepts=one)


def test_an_avatar_is_of_people_if_one_of_its_concepts_is() -> None:
    woman = REX.model_copy(update={"kind": "person", "class_noun": "woman"})
    fields = {"subject_id": "7k2m0000", "base": BASES["micro"], "kind": "pet"}
    assert TrainingConfig(**fields, concepts=(woman,)).of_people
    assert not TrainingConfig(**fields, concepts=(REX,)).of_people


def test_the_photos_of_each_lie_apart(tmp_path: Path, data: Path) -> None:
    """In a bucket and in a container: `concept-2/` below the subject's."""
    from lensa.backends.sagemaker.submission import _photos

    class Bucket:
        def uri(self, key: str) -> str:
            return f"s3://b/{key}"

    sets = [load_photos(data / "ada", 32), None, load_photos(data / "rex", 32)]
    blobs = _photos(sets, "photos/7k2m", "list", Bucket())  # type: ignore[arg-type]
    listed = json.loads(blobs[-1].data)
    assert listed[0] == {"prefix": "s3://b/photos/7k2m/"}
    assert sum(name.startswith("concept-3/") for name in listed[1:]) == 4
    assert sum("/" not in name for name in listed[1:]) == 4
    assert {blob.key for blob in blobs[:-1]} == {f"photos/7k2m/{name}" for name in listed[1:]}
    assert ConceptPhotos(load_photos(data / "ada", 32)).class_photos is None
