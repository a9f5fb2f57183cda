"""The code bundle: the same bytes from the same sources, complete, and nothing else in it."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from contained import container, environment, make_interpreter, run

import lensa
from lensa.backends.bundle import (
    Kind,
    build_bundle,
    build_wheelhouse,
    requirements_file,
    serving_code,
)
from lensa.contract.events import EndEvent, parse_event
from lensa.errors import ConfigError

ROOT = Path(lensa.__file__).resolve().parents[1]
ENTRYPOINTS = ("launcher", "training_entrypoint", "inference_entrypoint")
DIGEST = "from lensa.backends.bundle import build_bundle; print(build_bundle().digest)"


def copied(source: Path, target: Path) -> None:
    """Copy sources as another checkout would have them: other times, other permissions."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    for path in target.rglob("*"):
        os.utime(path, (86_400, 86_400))
        if path.is_file():
            path.chmod(0o600)


def digest_in(folder: Path) -> str:
    env = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", DIGEST]
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_another_checkout_packs_the_same_bytes(tmp_path: Path) -> None:
    for name in ("lensa", *ENTRYPOINTS):
        copied(ROOT / name, tmp_path / name)
    (tmp_path / "training_entrypoint" / ".env").write_text("WANDB_API_KEY=secret")
    (tmp_path / "training_entrypoint" / "notes.txt").write_text("mine")
    assert digest_in(tmp_path) == build_bundle().digest


def test_an_installed_package_packs_the_same_bytes(tmp_path: Path) -> None:
    copied(ROOT / "lensa", tmp_path / "lensa")
    for name in ENTRYPOINTS:
        copied(ROOT / name, tmp_path / "lensa" / "_bundle" / name)
    assert digest_in(tmp_path) == build_bundle().digest


def test_it_is_named_by_its_content_and_holds_the_code_alone() -> None:
    bundle = build_bundle()
    assert bundle.digest == hashlib.sha256(bundle.data).hexdigest()
    archive = zipfile.ZipFile(io.BytesIO(bundle.data))
    names = archive.namelist()
    assert names == sorted(set(names))
    assert {name.split("/")[0] for name in names} == {"__main__.py", "lensa", *ENTRYPOINTS}
    others = [name for name in names if not name.endswith(".py")]
    assert others == [
        "inference_entrypoint/requirements.txt",
        "training_entrypoint/requirements.txt",
    ]
    assert not [name for name in names if "test" in name or name.startswith("lensa/backends")]
    assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_it_trains_where_there_is_nothing_else_of_lensa(tmp_path: Path) -> None:
    python = make_interpreter(tmp_path / "python")
    job, bundle = container(tmp_path / "job", steps=2)
    alone = [python, "-c", "import lensa.errors"]
    env = environment(job)
    assert subprocess.run(alone, env=env, cwd=tmp_path, capture_output=True).returncode == 1
    done = run(python, bundle, env)
    assert done.returncode == 0, done.stderr
    assert job.manifest.steps_trained == 2
    assert job.manifest.avatar == "lensa-7k2m0000-1f3a9c2e"
    end = parse_event(done.stdout.splitlines()[-1])
    assert isinstance(end, EndEvent)
    assert end.status == "completed"
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]  # nothing unpacked


def test_a_model_folder_gets_the_bundle_and_the_file_that_awss_image_imports() -> None:
    code = serving_code()
    assert sorted(code) == ["inference.py", "lensa.pyz"]
    assert code["lensa.pyz"] == build_bundle().data
    assert b"handlers(CODE)" in bytes(code["inference.py"])


@pytest.mark.parametrize("kind", ["training", "serving"])
def test_a_wheelhouse_that_is_there_is_not_fetched_again_and_each_kind_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    name = hashlib.sha256(requirements_file(kind).read_bytes()).hexdigest()[:16]
    (tmp_path / name).mkdir()
    wheel = tmp_path / name / "probe-1.0-py3-none-any.whl"
    wheel.touch()
    assert build_wheelhouse(tmp_path, kind) == [wheel]
    if kind == "serving":
        assert serving_code(tmp_path)[f"wheels/{wheel.name}"] == wheel


@pytest.mark.parametrize("arguments", [[], ["draw"], ["train", "now"], ["serve", "train"]])
def test_any_other_word_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    python = make_interpreter(tmp_path / "python", libraries=False)
    job, bundle = container(tmp_path / "job")
    command = [python, bundle, *arguments]
    done = subprocess.run(command, env=environment(job), capture_output=True, text=True)
    assert done.returncode == 2
    assert "one word, 'train' or 'serve'" in job.layout.failure.read_text()


def test_a_wheelhouse_that_cannot_be_had_is_one_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    with pytest.raises(ConfigError, match=r"cannot be downloaded: .*Check that pip reaches"):
        build_wheelhouse(tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_pip_a_wheelhouse_says_how_to_get_it(tmp_path: Path) -> None:
    python = make_interpreter(tmp_path / "python", libraries=False)
    script = (
        "from pathlib import Path; from lensa.backends.bundle import build_wheelhouse\n"
        "from lensa.errors import ConfigError\n"
        "try: build_wheelhouse(Path('wheels'))\n"
        "except ConfigError as error: print(error)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [python, "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True
    )
    assert "-m ensurepip" in done.stdout, done.stderr
