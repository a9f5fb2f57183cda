"""Whatever a configuration says, it runs, or it is refused in words before a weight is loaded.

The fields and their ranges are read from TrainingConfig itself: one that is added is drawn, too.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import write_photos
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from PIL import Image
from training.running import Job, tiny_config

from lensa.contract import BASES, Layout, TrainingConfig
from lensa.errors import ConfigError, LensaError, TrainingError, UserError
from training_entrypoint import job as job_module

SCHEMA = TrainingConfig.model_json_schema()

# What a run may cost here. Everything above is valid, and only slower.
MOST = {
    "steps": 2,
    "class_images": 2,
    "class_image_steps": 2,
    "resolution": 64,
    "batch_size": 2,
    "gradient_accumulation": 2,
    "lora_rank": 8,
    "validation_steps": 2,
}
FIXED = {"base", "subject_id", "tracker"}  # on a base that is at hand; wandb has a test of its own

# Where chance alone would hardly ever draw a valid value.
LIKELY: dict[str, list[Any]] = {
    "resolution": [16, 24, 32, 48, 64],
    "instance_prompt": ["a photo of {subject}", "{subject}", "(a {subject}", "{class_noun}"],
    "class_prompt": ["a photo of a {class_noun}", "a", "two", "a [{class_noun}", "{subject}"],
    "validation_prompts": [[], ["{subject}, (smiling:1.2)"], ["{subject2}"], ["\x00{subject}"]],
    "concepts": [
        [],
        [{"token": "sks", "class_noun": "dog", "kind": "pet"}],
        [{"token": "sks", "class_noun": "manner", "kind": "style", "class_prompt": "a picture"}],
        [{"token": "ohwx", "class_noun": "dog"}],
    ],
    "vae": [None, *({"source": "folder", "location": folder} for folder in ("absent", ".", ""))],
    "warmup_steps": [0, 1, 2],
}

JUNK = st.sampled_from([None, "", -1, 0, 1e9, float("nan"), "\x00", [], {}, [[]], "9" * 99, True])


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return values that a JSON schema allows, its limits among them."""
    if "$ref" in schema:
        return values(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return st.one_of([values(option) for option in schema["anyOf"]])
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    if kind in ("integer", "number"):
        low, high = schema.get("minimum", 0), schema.get("maximum", 10_000)
        if kind == "integer":
            high = schema.get("exclusiveMaximum", high + 1) - 1
            return st.sampled_from([low, high]) | st.integers(low, high)
        open_ended = "exclusiveMinimum" in schema
        return st.just(high) | st.floats(low, high, exclude_min=open_ended, allow_nan=False)
    if kind == "string":
        if "pattern" in schema:
            return st.from_regex(schema["pattern"], fullmatch=True)
        return st.text(max_size=40)
    if kind == "array":
        return st.lists(values(schema.get("items", {})), max_size=2)
    if kind == "object":
        fields = schema.get("properties", {})
        needed = {name: values(fields[name]) for name in schema.get("required", [])}
        return st.fixed_dictionaries(needed)
    return st.booleans() if kind == "boolean" else st.none()


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    """Draw some fields, one of them of anything at all now and then."""
    free = sorted(set(SCHEMA["properties"]) - FIXED)
    names = draw(st.permutations(free))[: draw(st.integers(1, 8))]
    drawn: dict[str, Any] = {}
    for name in names:
        valid = values(SCHEMA["properties"][name])
        likely = st.sampled_from(LIKELY[name]) if name in LIKELY else valid
        drawn[name] = draw(valid if name not in LIKELY else st.one_of(likely, likely, valid))
    if draw(st.integers(0, 7)) == 7:
        drawn[draw(st.sampled_from(free))] = draw(JUNK)
    return drawn


def capped(config: TrainingConfig) -> TrainingConfig:
    fields = config.model_dump()
    cheaper = {
        name: most if fields[name] is None else min(fields[name], most)
        for name, most in MOST.items()
    }
    if cheaper["class_images"] == 0 and config.prior_preservation:
        cheaper["class_images"] = 1
    warmup = min(config.warmup_steps, cheaper["steps"] - 1)
    prompts = config.validation_prompts[:1]
    return config.model_copy(
        update={**cheaper, "warmup_steps": warmup, "validation_prompts": prompts}
    )


def check_one(drawn: dict[str, Any], photos: Path) -> str:
    """Hold one configuration to the promise; return what came of it."""
    try:
        config = capped(TrainingConfig(**{**tiny_config().model_dump(), **drawn}))
    except ConfigError as error:
        _check_words(error)
        return "refused"
    root = Path(tempfile.mkdtemp(dir=photos.parent))
    job = Job(Layout(root), config)
    for number in range(1, len(config.every_concept) + 1):
        shutil.copytree(photos, job.layout.photos_of(number), dirs_exist_ok=True)
    loaded: list[object] = []
    real = job_module.load_base

    def load_base(*arguments: Any, **options: Any) -> Any:
        loaded.append(arguments)
        return real(*arguments, **options)

    job_module.load_base = load_base  # the real one, counted
    try:
        assert job.run() >= 1
    except UserError as error:
        assert not loaded, f"a weight was loaded before: {error}"
        _check_words(error)
        return "refused"
    except TrainingError as error:  # it ran, and learned nothing, or ran away
        _check_words(error)
        return "ended"
    finally:
        job_module.load_base = real
    assert job.manifest.config == config
    shutil.rmtree(root)
    return "ran"


def _check_words(error: LensaError) -> None:
    text = str(error)
    assert text.strip()
    assert len(text) < 4000
    assert not any(word in text for word in ("pydantic", "Traceback", "object at 0x")), text


@pytest.fixture(scope="module")
def some_photos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    photos = write_photos(tmp_path_factory.mktemp("fuzz") / "photos", 2, side=32)
    with Image.open(photos / "1.png") as image:
        image.putalpha(Image.linear_gradient("L").resize(image.size))
        image.save(photos / "1.png")  # for a masked loss
    yield photos


QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]
AS_FOUND = (Phase.explicit, Phase.reuse, Phase.generate)  # to shrink is to run a hundred more


@settings(
    max_examples=12, derandomize=True, deadline=None, suppress_health_check=QUIET, phases=AS_FOUND
)
@given(drawn=changes())
def test_any_configuration_runs_or_is_refused(drawn: dict[str, Any], some_photos: Path) -> None:
    event(check_one(drawn, some_photos))


@pytest.mark.slow
@pytest.mark.timeout(1800)  # seconds an example on a busy machine
@settings(max_examples=250, deadline=None, suppress_health_check=QUIET, phases=AS_FOUND)
@given(drawn=changes())
def test_many_configurations_run_or_are_refused(drawn: dict[str, Any], some_photos: Path) -> None:
    check_one(drawn, some_photos)


def test_the_plain_one_runs(some_photos: Path) -> None:
    assert check_one({}, some_photos) == "ran"


@settings(max_examples=150, derandomize=True, deadline=None, phases=AS_FOUND)
@given(
    field=st.sampled_from(sorted(SCHEMA["properties"])),
    value=JUNK | st.text(max_size=9) | st.integers() | st.floats(),
)
def test_anything_in_a_field_is_taken_or_refused_in_words(field: str, value: Any) -> None:
    fields = {"subject_id": "7k2m0000", "base": BASES["micro"], field: value}
    try:
        assert TrainingConfig.model_validate_json(TrainingConfig(**fields).model_dump_json())
    except ConfigError as error:
        _check_words(error)
