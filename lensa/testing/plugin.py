"""The pytest plugin: it registers the fixtures. Imported by every pytest run, so it stays light."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lensa.testing.twin import SagemakerTwin


@pytest.fixture
def sagemaker_twin(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SagemakerTwin]:
    """An AWS account of the test's own: every boto3 client made in the test talks to it.

    Nothing of the user's AWS settings is seen. See `lensa.testing`.
    """
    from lensa.errors import UserError
    from lensa.testing.twin import SagemakerTwin

    twin = SagemakerTwin()
    try:
        twin.start()
    except UserError as problem:
        pytest.fail(str(problem), pytrace=False)
    import boto3

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in twin.environment.items():
        monkeypatch.setenv(name, value)
    empty: Path = tmp_path_factory.mktemp("aws") / "empty"
    empty.touch()
    monkeypatch.setenv("AWS_CONFIG_FILE", str(empty))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(empty))
    # A session of an earlier test would still have its credentials.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    try:
        yield twin
    finally:
        twin.close()
