"""A folder comes down with all of its files, and never out of the folder that it goes to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from moto_server import (
    Gate,
    gate_fixture,  # noqa: F401
    moto_address_fixture,  # noqa: F401
)
from stored import (
    MEGABYTE,
    everything,
    listing,
    photos,
    store_fixture,  # noqa: F401
)

from lensa.backends.sagemaker.transfer import Blob, Store
from lensa.errors import ArtifactError


def test_a_folder_comes_down_with_its_files_and_progress(store: Store, tmp_path: Path) -> None:
    blobs = [*photos(10), Blob("photos/ada/deep/er/big.bin", os.urandom(3 * MEGABYTE))]
    store.put([*blobs, Blob("photos/adam/x.png", b"not hers")])
    store.write("photos/ada/", b"")  # as the console makes folders
    seen: list[tuple[int, int]] = []
    files = store.download(
        "photos/ada", tmp_path / "out", on_progress=lambda *step: seen.append(step)
    )
    assert {str(p.relative_to(tmp_path / "out")): p.read_bytes() for p in files} == {
        blob.key.removeprefix("photos/ada/"): blob.data for blob in blobs
    }
    total = sum(blob.size for blob in blobs)
    assert seen[-1] == (total, total) and seen == sorted(seen)
    assert files == sorted(files)
    assert everything(tmp_path) == set(files)


@pytest.mark.parametrize(
    "name", ["../outside", "a/../../outside", "/etc/x", "..", "c:\\x", "a//b", "link/x"]
)
def test_a_name_that_leads_out_of_the_folder_is_refused(
    store: Store, gate: Gate, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "link").symlink_to(tmp_path)
    gate.rules.append(listing("avatars/a/good", f"avatars/a/{name}"))
    with pytest.raises(ArtifactError, match=r"would be written outside of .* nothing was downl"):
        store.download("avatars/a", out)
    assert everything(tmp_path) == set()
