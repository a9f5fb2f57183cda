"""GenerationRequest: what it leaves open is the base model's own."""

from __future__ import annotations

import pytest

from lensa.contract import BASES, GenerationRequest
from lensa.errors import ConfigError


def test_what_is_not_said_suits_the_base() -> None:
    request = GenerationRequest(prompt="x", steps=9)
    assert request.suited_to(BASES["mini"]).guidance_scale == BASES["mini"].guidance_scale
    assert request.suited_to(BASES["sd15"]).guidance_scale == 7.5
    assert request.suited_to(BASES["sd15"]).steps == 9


@pytest.mark.parametrize("body", ["", "nope", "[]", '{"prompt": 3}', '{"prompt": "x", "steps": 0}'])
def test_what_is_no_request_is_a_config_error(body: str) -> None:
    with pytest.raises(ConfigError, match=r"^generation: "):
        GenerationRequest.model_validate_json(body)
