"""A subject's name, and the id that it has wherever it is used first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cloud import settle

from lensa.backends.sagemaker import keys, subjects
from lensa.client import Client
from lensa.contract.names import SUBJECT_ID
from lensa.errors import ArtifactError
from lensa.testing import SagemakerTwin


@pytest.fixture(autouse=True)
def cloud(sagemaker_twin: SagemakerTwin, monkeypatch: pytest.MonkeyPatch) -> SagemakerTwin:
    settle(sagemaker_twin, monkeypatch)
    return sagemaker_twin


def subject_id(home: Path, name: str = "ada") -> str:
    """What a machine takes for the id before it has uploaded anything of the subject."""
    return Client(home=home).backend.subject(name).id


def test_machines_that_begin_with_a_name_at_once_use_one_id(tmp_path: Path) -> None:
    first = subject_id(tmp_path / "first")
    assert SUBJECT_ID.fullmatch(first)
    assert subject_id(tmp_path / "second") == first
    assert subject_id(tmp_path / "second", "bob") != first

    homes = [tmp_path / f"machine-{number}" for number in range(4)]
    with ThreadPoolExecutor(len(homes)) as pool:
        assert len(set(pool.map(lambda home: subject_id(home, "eve"), homes))) == 1


def test_a_name_that_the_bucket_knew_before_keeps_its_id(tmp_path: Path) -> None:
    store = Client().backend.store  # type: ignore[attr-defined]
    store.write(keys.subject("7k2m0000"), b'{"name": "ada"}')
    assert subject_id(tmp_path / "new") == "7k2m0000"
    assert not store.exists(keys.subject_name("ada"))


def test_what_is_no_id_is_no_part_of_a_key(tmp_path: Path) -> None:
    store = Client().backend.store  # type: ignore[attr-defined]
    store.write(keys.subject_name("ada"), b'{"id": "../../x"}')
    with pytest.raises(ArtifactError, match="holds no subject's id: delete it"):
        subject_id(tmp_path / "new")
    assert subjects.in_bucket(store) == []
