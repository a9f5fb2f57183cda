"""A deployment that nobody listens to says on stderr what it does."""

from __future__ import annotations

import pytest
from shelved import (
    ADA,
    twin_fixture,  # noqa: F401
)

from lensa.client import Client
from lensa.errors import EndpointError
from lensa.testing import SagemakerTwin


def test_each_state_is_said_once_with_price_and_end_first(
    twin: SagemakerTwin, capsys: pytest.CaptureFixture[str]
) -> None:
    twin.faults.fail_endpoint(log="no such luck")
    with pytest.raises(EndpointError):
        Client().deploy(ADA, keep="3d")
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert "on ml.g5.xlarge ($1.408 an hour), kept for 3d" in lines[0]
    assert lines[1].startswith("uploading ")
    assert sum(line.startswith("creating (") for line in lines) == 1
    assert "taking down what was made." in lines
    assert out == ""
