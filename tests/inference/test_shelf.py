"""What is fetched from S3 for an endpoint: verified, kept, bounded, and never more than needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from making import config, write_manifest
from many import LORA, id_of
from on_the_shelf import Time, address, asked, many_avatars, put, shelf_of, take_away

from inference_entrypoint.shelf import AGAIN, FRESH, SILENCE, Shelf
from inference_entrypoint.shelf_bucket import ShelfBusy, ShelfError
from inference_entrypoint.statuses import refusal
from lensa.contract import MANIFEST
from lensa.contract.environment import AVATARS
from lensa.errors import ArtifactError, LensaError, NotFoundError
from lensa.testing import SagemakerTwin


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    return many_avatars(tmp_path_factory.mktemp("avatars"), range(1, 5))


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def shelf(sagemaker_twin: SagemakerTwin, clock: Time) -> Shelf:
    return shelf_of(sagemaker_twin, clock)


@pytest.fixture
def one(made: dict[int, Path], tmp_path: Path) -> Path:
    """Avatar 1, for a test to damage."""
    return Path(shutil.copytree(made[1], tmp_path / "one"))


def test_it_is_fetched_once_and_whole(
    sagemaker_twin: SagemakerTwin, shelf: Shelf, made: dict[int, Path]
) -> None:
    put(sagemaker_twin, made[1], id_of(1))
    folder = shelf.fetch(id_of(1))
    assert sorted(path.name for path in folder.iterdir()) == [MANIFEST, LORA]
    assert (folder / LORA).read_bytes() == (made[1] / LORA).read_bytes()
    assert asked(sagemaker_twin) == 2
    assert shelf.fetch(id_of(1)) == folder
    assert asked(sagemaker_twin) == 0


def test_what_is_not_there_is_asked_for_once_in_a_while(
    sagemaker_twin: SagemakerTwin, shelf: Shelf, clock: Time, made: dict[int, Path]
) -> None:
    for _ in range(20):
        with pytest.raises(NotFoundError, match=r"Add it: endpoint\.add") as told:
            shelf.fetch(id_of(1))
    assert refusal(told.value).status == 400
    assert asked(sagemaker_twin) == 1
    put(sagemaker_twin, made[1], id_of(1))
    clock.now += AGAIN
    assert shelf.fetch(id_of(1)).is_dir()


@pytest.mark.parametrize(
    "name", ["", "..", "../lensa-7k2m0000-1f3a9c2e", "s3://other/lensa-7k2m0000-1f3a9c2e", "a/b"]
)
def test_what_is_no_id_becomes_no_key(
    sagemaker_twin: SagemakerTwin, shelf: Shelf, name: str
) -> None:
    with pytest.raises(NotFoundError):
        shelf.fetch(name)
    assert asked(sagemaker_twin) == 0


def test_a_removal_is_noticed_and_a_copy_is_not_kept(
    sagemaker_twin: SagemakerTwin, shelf: Shelf, clock: Time, made: dict[int, Path]
) -> None:
    put(sagemaker_twin, made[1], id_of(1))
    folder = shelf.fetch(id_of(1))
    take_away(sagemaker_twin, id_of(1))
    clock.now += FRESH - 1
    assert shelf.fetch(id_of(1)) == folder
    clock.now += 1
    with pytest.raises(NotFoundError):
        shelf.fetch(id_of(1))
    assert not folder.exists() and shelf.names() == []


def test_what_is_unchanged_is_not_downloaded_again_and_what_is_replaced_is(
    sagemaker_twin: SagemakerTwin, shelf: Shelf, clock: Time, made: dict[int, Path], one: Path
) -> None:
    put(sagemaker_twin, made[1], id_of(1))
    folder = shelf.fetch(id_of(1))
    asked(sagemaker_twin)
    clock.now += FRESH
    assert shelf.fetch(id_of(1)) == folder
    assert asked(sagemaker_twin) == 1  # 304, for the manifest
    assert shelf.fetch(id_of(1)) == folder
    assert asked(sagemaker_twin) == 0
    shutil.copy(made[2] / LORA, one / LORA)
    write_manifest(one, config(), avatar=id_of(1))
    put(sagemaker_twin, one, id_of(1))
    clock.now += FRESH
    other = shelf.fetch(id_of(1))
    assert (other / LORA).read_bytes() == (made[2] / LORA).read_bytes()
    assert other != folder and not folder.exists()


@pytest.mark.parametrize("damage", ["altered", "cut off", "missing", "another's", "no manifest"])
def test_what_is_not_whole_is_refused_and_nothing_of_it_is_kept(
    sagemaker_twin: SagemakerTwin, shelf: Shelf, made: dict[int, Path], one: Path, damage: str
) -> None:
    weights = one / LORA
    if damage == "altered":
        weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    elif damage == "cut off":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif damage == "missing":
        weights.unlink()
    elif damage == "another's":
        shutil.copy(made[2] / MANIFEST, one / MANIFEST)
    else:
        (one / MANIFEST).write_text("{")
    put(sagemaker_twin, one, id_of(1))
    for _ in range(3):
        with pytest.raises(ArtifactError) as told:
            shelf.fetch(id_of(1))
    assert refusal(told.value).status == 500
    assert asked(sagemaker_twin) <= 2  # a flood downloads it once
    assert shelf.names() == []


def test_a_manifest_is_looked_at_before_the_weights_are_downloaded(
    sagemaker_twin: SagemakerTwin, shelf: Shelf, made: dict[int, Path]
) -> None:
    def check(manifest: object) -> None:
        raise ArtifactError("not here")

    put(sagemaker_twin, made[1], id_of(1))
    with pytest.raises(ArtifactError, match="not here"):
        shelf.fetch(id_of(1), check)
    assert asked(sagemaker_twin) == 1


def test_when_s3_is_down_what_is_here_is_drawn_and_the_rest_told_to_come_back(
    sagemaker_twin: SagemakerTwin, shelf: Shelf, clock: Time, made: dict[int, Path]
) -> None:
    for number in (1, 2):
        put(sagemaker_twin, made[number], id_of(number))
    folder = shelf.fetch(id_of(1))
    clock.now += FRESH
    asked(sagemaker_twin)
    sagemaker_twin.faults.fail("s3:GetObject", "SlowDown", times=None, status=503)
    for _ in range(5):
        assert shelf.fetch(id_of(1)) == folder
        with pytest.raises(ShelfBusy) as told:
            shelf.fetch(id_of(2))
    assert refusal(told.value).status == 503 and refusal(told.value).retry_after
    assert asked(sagemaker_twin) == 2  # one question, and one more try at it
    sagemaker_twin.faults.clear()
    clock.now += SILENCE
    assert shelf.fetch(id_of(2)).is_dir()


def test_when_s3_cannot_be_reached_it_is_said(
    sagemaker_twin: SagemakerTwin, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ShelfBusy, match="EndpointConnectionError"):
        shelf.fetch(id_of(1))


def test_a_role_that_may_not_read_is_told_what_it_lacks(
    sagemaker_twin: SagemakerTwin, shelf: Shelf
) -> None:
    sagemaker_twin.faults.fail("s3:GetObject", "AccessDenied", "Access Denied", times=None)
    with pytest.raises(ShelfError) as told:
        shelf.fetch(id_of(1))
    assert refusal(told.value).status == 500
    where = f"{address(sagemaker_twin)}/{id_of(1)}/{MANIFEST}"
    assert f"may not read {where}" in str(told.value)
    assert "s3:GetObject there, s3:ListBucket on the bucket" in str(told.value)


def test_without_credentials_it_is_said(
    sagemaker_twin: SagemakerTwin, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ShelfError, match="an isolated endpoint has a fixed set"):
        shelf.fetch(id_of(1))


def test_the_disk_has_bounds_and_the_least_recently_used_one_goes(
    sagemaker_twin: SagemakerTwin, clock: Time, made: dict[int, Path]
) -> None:
    for number, folder in made.items():
        put(sagemaker_twin, folder, id_of(number))
    size = (made[1] / LORA).stat().st_size
    for bounds in ({"most": 2}, {"most_bytes": 5 * size // 2}):
        shelf = shelf_of(sagemaker_twin, clock, **bounds)
        first = shelf.fetch(id_of(1))
        for number in (2, 1, 3):
            shelf.fetch(id_of(number))
        assert shelf.names() == [id_of(1), id_of(3)]
        shelf.fetch(id_of(4))
        assert shelf.names() == [id_of(3), id_of(4)] and not first.exists()
        assert shelf.fetch(id_of(1)) == first  # the same content, the same place
    small = shelf_of(sagemaker_twin, clock, most_bytes=size - 1)
    with pytest.raises(ArtifactError, match="use an instance with a larger disk"):
        small.fetch(id_of(1))


def test_what_an_earlier_process_left_is_swept_away(
    sagemaker_twin: SagemakerTwin, clock: Time, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead, alive = (tmp_path / f"lensa-shelf-{pid}-x" for pid in (gone.pid, os.getpid()))
    for left in (dead, alive):
        (left / "avatar").mkdir(parents=True)
    shelf = shelf_of(sagemaker_twin, clock)
    assert not dead.exists() and alive.exists()
    assert len(list(tmp_path.iterdir())) == 2
    del shelf
    assert list(tmp_path.iterdir()) == [alive]


def test_a_container_knows_its_shelf_by_its_environment(sagemaker_twin: SagemakerTwin) -> None:
    assert Shelf.here({}) is None
    assert Shelf.here({AVATARS: address(sagemaker_twin)}) is not None
    with pytest.raises(LensaError, match="not s3://bucket/prefix"):
        Shelf.here({AVATARS: "bucket/prefix"})


@pytest.mark.parametrize("code", ["ThrottlingException", "ExpiredToken"])
def test_what_passes_is_busy_whatever_its_status_and_costs_no_copy(
    sagemaker_twin: SagemakerTwin, shelf: Shelf, clock: Time, made: dict[int, Path], code: str
) -> None:
    put(sagemaker_twin, made[1], id_of(1))
    folder = shelf.fetch(id_of(1))
    clock.now += FRESH
    sagemaker_twin.faults.fail("s3:GetObject", code, times=None, status=400)
    assert shelf.fetch(id_of(1)) == folder and folder.is_dir()
    with pytest.raises(ShelfBusy):
        shelf.fetch(id_of(2))


def test_credentials_that_cannot_be_had_just_now_pass(
    sagemaker_twin: SagemakerTwin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "config").write_text("[default]\ncredential_process = false\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(ShelfBusy, match="CredentialRetrievalError"):
        shelf_of(sagemaker_twin, Time()).fetch(id_of(1))


def test_a_refusal_that_says_nothing_about_the_avatar_costs_no_copy(
    sagemaker_twin: SagemakerTwin, shelf: Shelf, clock: Time, made: dict[int, Path]
) -> None:
    put(sagemaker_twin, made[1], id_of(1))
    folder = shelf.fetch(id_of(1))
    clock.now += FRESH
    sagemaker_twin.faults.fail("s3:GetObject", "AccessDenied", "Access Denied", times=None)
    with pytest.raises(ShelfError):
        shelf.fetch(id_of(1))
    assert folder.is_dir()
    sagemaker_twin.faults.clear()
    clock.now += AGAIN
    asked(sagemaker_twin)
    assert shelf.fetch(id_of(1)) == folder
    assert asked(sagemaker_twin) == 1  # its weights were not downloaded again


def test_who_was_removed_is_looked_for_though_nobody_asks_a_few_at_a_time(
    sagemaker_twin: SagemakerTwin,
    shelf: Shelf,
    clock: Time,
    made: dict[int, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inference_entrypoint.shelf.ROUND", 2)
    folders = {}
    for number, folder in made.items():
        put(sagemaker_twin, folder, id_of(number))
        folders[number] = shelf.fetch(id_of(number))
    asked(sagemaker_twin)
    shelf.look_round()
    assert asked(sagemaker_twin) == 0  # they are fresh
    for number in (1, 3):
        take_away(sagemaker_twin, id_of(number))
    clock.now += FRESH
    for _ in range(3):
        shelf.look_round()
    assert asked(sagemaker_twin) == 4
    assert shelf.names() == [id_of(2), id_of(4)]
    assert [folders[number].exists() for number in (1, 2, 3, 4)] == [False, True, False, True]


def test_who_cannot_be_looked_for_stays_and_is_not_asked_about_again_at_once(
    sagemaker_twin: SagemakerTwin, shelf: Shelf, clock: Time, made: dict[int, Path]
) -> None:
    for number, folder in made.items():
        put(sagemaker_twin, folder, id_of(number))
        shelf.fetch(id_of(number))
    asked(sagemaker_twin)
    clock.now += FRESH
    for code, status, questions in (("AccessDenied", 403, 4), ("SlowDown", 503, 2)):
        sagemaker_twin.faults.fail("s3:GetObject", code, times=None, status=status)
        for _ in range(3):
            shelf.look_round()
        assert asked(sagemaker_twin) == questions
        sagemaker_twin.faults.clear()
        clock.now += FRESH
    assert len(shelf.names()) == 4
