"""What a kind, a method, a base and the number of photos come to."""

from __future__ import annotations

import pytest

from lensa.backends.base import TrainingPlan
from lensa.client import Client
from lensa.contract import BASES, KINDS, Kind, TrainingConfig, preset
from lensa.contract.names import digest
from lensa.photos.photoset import Photo, PhotoSet
from lensa.summary import advice, opening


def built(**changes: object) -> TrainingConfig:
    recipe = preset("person", "lora", BASES["sd15"])
    return TrainingConfig(**{**recipe, "subject_id": "7k2m0000", **changes})


@pytest.mark.parametrize(
    ("kind", "photos", "steps"),
    [
        ("person", 4, 800),
        ("person", 10, 1000),
        ("person", 30, 1200),
        ("pet", 4, 400),
        ("object", 2, 200),
        ("object", 20, 400),
        ("style", 15, 1500),
        ("style", 200, 2000),
    ],
)
def test_steps_are_a_hundred_a_photo_within_the_kinds_range(
    kind: Kind, photos: int, steps: int
) -> None:
    recipe = preset(kind, "lora", BASES["sd15"], photos=photos)
    assert recipe["steps"] == steps
    assert recipe["checkpoint_every"] == steps // 4
    assert preset(kind, "lora", BASES["mini"], photos=photos)["steps"] == 800  # its own recipe
    assert preset(kind, "lora", BASES["sd15"], photos=photos, steps=7)["steps"] == 7


def test_several_concepts_get_the_steps_of_each() -> None:
    assert preset("person", "lora", BASES["sd15"], photos=8, concepts=2)["steps"] == 1600


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_makes_a_whole_configuration(kind: Kind) -> None:
    for method, least, most in (("lora", 1e-4, 1e-4), ("full", 1e-6, 2e-6)):
        config = built(**preset(kind, method, BASES["sd15"]))  # type: ignore[arg-type]
        assert least <= config.learning_rate <= most
        assert config.prior_preservation == (kind == "person")


def test_a_style_has_a_token_and_no_noun() -> None:
    config = built(**preset("style", "lora", BASES["sd15"]))
    assert config.subject == "ohwx"
    assert config.fill(config.instance_prompt) == "a picture in the style of ohwx"
    assert config.fill(config.validation_prompts[0]) == "a house by a lake in the style of ohwx"


def test_the_recipe_is_shown_with_its_words_before_it_starts() -> None:
    photos = PhotoSet(512, (Photo("1.jpg", b"", "0" * 64),), {}, ())
    lines = "\n".join(opening(TrainingPlan(built(), photos), "ada"))
    for word in (
        "lora on sd15",
        "800 steps",
        "0.0001",
        "prior",
        "person: 'a photo of ohwx person'",
    ):
        assert word in lines


def test_a_noun_that_is_a_manner_of_showing_gets_advice() -> None:
    (said,) = advice(built(class_noun="portrait"))
    assert "'portrait' says how something is shown" in said
    (said,) = advice(built(class_noun="oil painting"))
    assert "--kind style" in said
    assert advice(built()) == []
    style = preset("style", "lora", BASES["sd15"])
    assert advice(built(**{**style, "class_noun": "painting"})) == []


def test_the_call_counts_the_photos_unless_it_says_how_many_steps(
    client: Client, photos: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = BASES["micro"].model_copy(update={"recipe": {}})
    monkeypatch.setitem(BASES, "micro", plain)
    for changes, steps in (({}, 400), ({"steps": 9}, 9)):
        _, _, plan = client._preparation.plan(
            photos, "ada", None, False, True, base="micro", kind="pet", **changes
        )  # type: ignore[arg-type]
        assert plan.config.steps == steps


def test_a_field_that_came_later_changes_no_name_until_it_is_set() -> None:
    """Recorded before there were concepts, VAEs and longer lists of tokens."""
    config = built()
    assert digest(config.identity())[:16] == "fd14b2b23b6a0512"
    assert digest(built(base=BASES["mini"], seed=1).identity()) != digest(config.identity())
    others = built(base=BASES["sd15"].model_copy(update={"tokens": ("sks",)}))
    assert others.identity() == config.identity()
    vae = {"source": "hub", "location": "stabilityai/sd-vae-ft-mse"}
    assert built(vae=vae).identity() != config.identity()


def test_a_configuration_written_before_still_reads() -> None:
    old = {
        field: value
        for field, value in built().model_dump(mode="json").items()
        if field not in {"concepts", "vae"}
    }
    assert TrainingConfig.model_validate(old) == built()
