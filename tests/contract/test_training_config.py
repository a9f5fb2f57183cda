"""TrainingConfig: what is refused, and in which words."""

from __future__ import annotations

import pytest

from lensa.contract import BASES, TrainingConfig, preset, training
from lensa.contract.bases import TOKENS_IN_NAMES
from lensa.errors import ConfigError


def config(**changes: object) -> TrainingConfig:
    recipe = preset("person", "lora", BASES["mini"])
    return TrainingConfig(**{**recipe, "subject_id": "7k2m0000", **changes})


def test_it_survives_the_way_to_the_container() -> None:
    assert TrainingConfig.model_validate_json(config().model_dump_json()) == config()


def test_a_configuration_of_the_first_version_is_read_and_means_what_it_meant() -> None:
    later = set(TrainingConfig.model_fields) - training._FIRST_FIELDS
    came_later = {"patience": 2, "retention_floor": 0.85}
    mine = config(**came_later)  # the base has its own
    old = mine.model_dump(mode="json", exclude=later)
    assert TrainingConfig(**old) == mine
    old["validation_every"] = old["steps"] // 4  # which it was wherever a call did not say
    # What a base offers as tokens has grown since; a name is made as if it had not.
    old["base"]["tokens"] = list(TOKENS_IN_NAMES)
    del old["base"]["embedder"]  # and by what it is measured was not asked
    assert mine.identity() == old == TrainingConfig(**old).identity()


def test_prompts_are_filled_with_token_and_noun() -> None:
    filled = config(token="zwx", class_noun="dog")
    assert (
        filled.fill("a photo of {subject} near a {class_noun}") == "a photo of zwx dog near a dog"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stepz": 3}, ["unknown field 'stepz'", "Did you mean 'steps'?"]),
        ({"learnin_rate": 1e-4}, ["'learning_rate'"]),
        ({"steps": 0}, ["steps = 0", "greater than or equal to 1"]),
        ({"steps": 1.5}, ["steps = 1.5"]),
        ({"learning_rate": 5}, ["learning_rate = 5", "less than or equal to 0.01"]),
        ({"learning_rate": float("nan")}, ["learning_rate = nan"]),
        ({"seed": -1}, ["seed = -1"]),
        ({"resolution": 100}, ["resolution = 100", "multiple of 8"]),
        ({"method": "dora"}, ["method = 'dora'", "'lora' or 'full'"]),
        ({"token": "two words"}, ["token = 'two words'"]),
        ({"instance_prompt": "a photo"}, ["instance_prompt", "{subject}"]),
        ({"validation_prompts": ["a cat"]}, ["validation_prompts", "{subject}"]),
        ({"class_prompt": "a photo of {subject}"}, ["class_prompt", "class alone"]),
        ({"class_images": 0}, ["prior_preservation", "class_images"]),
        ({"steps": 5, "warmup_steps": 5}, ["warmup_steps (5)", "below steps"]),
        (
            {"train_text_encoder": False, "text_encoder_learning_rate": 1e-5},
            ["train_text_encoder to true"],
        ),
        (
            {"optimizer": "prodigy", "text_encoder_learning_rate": 1e-5},
            ["'prodigy' finds one rate", "'adamw'"],
        ),
        ({"method": "full", "dora": True}, ["dora is of a LoRA", "method to 'lora'"]),
        ({"method": "full", "lora_targets": "all"}, ["lora_targets is of a LoRA"]),
        (
            {"early_stopping": "fid", "prior_preservation": False},
            ["early_stopping 'fid' compares with class images", "'likeness'"],
        ),
        (
            {"early_stopping": "fid", "validation_every": 0},
            ["early_stopping 'fid' needs validation images", "'off'"],
        ),
        ({"early_stopping": "loss"}, ["early_stopping = 'loss'", "'likeness', 'fid' or 'off'"]),
        ({"retention_floor": 2}, ["retention_floor = 2", "less than or equal to 1"]),
        ({"patience": 0}, ["patience = 0"]),
        ({"ema_decay": 1}, ["ema_decay = 1", "less than 1"]),
        ({"memory": "tiny"}, ["memory = 'tiny'", "'auto', 'normal' or 'lean'"]),
        ({"steps": 0, "seed": -1}, ["steps = 0", "seed = -1"]),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_named_with_what_to_change(
    changes: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as raised:
        config(**changes)
    for word in words:
        assert word in str(raised.value)


def test_a_kind_brings_its_recipe() -> None:
    person = preset("person", "lora", BASES["sd15"])
    pet = preset("pet", "full", BASES["sd15"])
    assert (person["prior_preservation"], person["steps"]) == (True, 800)
    assert (pet["prior_preservation"], pet["steps"]) == (False, 400)
    assert (person["learning_rate"], pet["learning_rate"]) == (1e-4, 2e-6)
    assert preset("person", "lora", BASES["sd15"], steps=60)["checkpoint_every"] == 15
