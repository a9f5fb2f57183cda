"""The names of subjects and jobs."""

from __future__ import annotations

import pytest

from lensa.contract import BASES, TrainingConfig
from lensa.contract.names import JOB, check_subject, job_name, new_subject_id
from lensa.errors import ConfigError


@pytest.mark.parametrize("name", ["ada", "Ada-2", "7", "a_b", "x" * 63])
def test_a_plain_name_is_kept(name: str) -> None:
    assert check_subject(name) == name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Ada Lovelace", "'ada-lovelace'"),
        ("../../etc", "'etc'"),
        ("a/b", "'a-b'"),
        ("ada\U0001f600", "'ada'"),
        ("x" * 300, "300 characters"),
        ("", "letters"),
        ("-ada", "'ada'"),
        ("ada\n", "'ada'"),
    ],
)
def test_any_other_is_refused_with_one_that_would_do(name: str, hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_subject(name)
    assert hint in str(raised.value)


def test_the_same_request_is_the_same_job() -> None:
    subject = new_subject_id()
    name = job_name(subject, ["b", "a"], {"x": 1, "y": 2})
    assert name == job_name(subject, ["a", "b"], {"y": 2, "x": 1})
    assert JOB.fullmatch(name)
    assert name != job_name(subject, ["a", "b"], {"x": 1, "y": 3})
    assert name != job_name(subject, ["a", "c"], {"x": 1, "y": 2})


def test_a_training_keeps_the_name_that_it_had_before_a_field_was_known() -> None:
    config = TrainingConfig(subject_id="7k2m0000", base=BASES["sd15"])
    # As the first version named it, before DoRA, schedules and the rest.
    assert job_name("7k2m0000", ["b", "a"], config.identity()) == "lensa-7k2m0000-278c6546"
    later = config.model_copy(update={"noise_offset": 0.1})
    assert job_name("7k2m0000", ["b", "a"], later.identity()) != "lensa-7k2m0000-278c6546"
