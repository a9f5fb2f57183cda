"""How long a request has waited, by the word of whoever asked."""

from __future__ import annotations

import pytest

from lensa.contract.asked import age, asked_at

NOW = 1_800_000_000.0


def test_what_is_said_is_read() -> None:
    assert age(asked_at(NOW), NOW + 42) == 42
    assert age(f"trace=a7;{asked_at(NOW)}", NOW + 42) == 42


@pytest.mark.parametrize(
    "attributes",
    [
        "",
        "trace=a7",
        "lensa-asked=",
        "lensa-asked=soon",
        "not-lensa-asked=1800000000",
        asked_at(NOW + 5),  # of a clock that is ahead
        asked_at(NOW - 601),  # or hours behind
        "lensa-asked=" + "9" * 400,
    ],
)
def test_what_cannot_be_is_not_believed(attributes: str) -> None:
    assert age(attributes, NOW) is None
