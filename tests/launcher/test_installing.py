"""What is pinned is compared with what is there, and only the difference is installed."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import subprocess
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from contained import container, environment, make_interpreter, make_wheel, require, run
from lock import OF_THE_IMAGE, PYTHONS, ROOT, ROOTS, closure, pins
from packaging.utils import canonicalize_name

from launcher.requirements import (
    SERVING,
    TRAINING,
    differing,
    explain,
    normal,
    parse,
    pinned,
)
from lensa.contract.events import EndEvent, StageEvent, parse_event


@pytest.mark.parametrize("target", ROOTS)
def test_the_requirements_agree_with_what_the_tests_run_on(target: str) -> None:
    constraints = pins((ROOT / "constraints.txt").read_text())
    found = parse((ROOT / target).read_text())
    requirements = {each.name: each.version for each in found}
    assert list(requirements) == closure(ROOTS[target]), "anew: python tests/launcher/lock.py"
    assert requirements == {name: constraints[name] for name in requirements}
    assert not set(OF_THE_IMAGE) & set(requirements)
    assert not differing(found)
    assert all(each.name == normal(each.name) == canonicalize_name(each.name) for each in found)
    for each in found:  # a hash for each Python
        hashes = [part for part in each.line.split() if part.startswith("--hash=sha256:")]
        assert 1 <= len(hashes) <= len(PYTHONS), each.name
        assert all(len(part) == len("--hash=sha256:") + 64 for part in hashes)


def test_the_bundle_has_the_requirements_of_both_its_ends() -> None:
    training, serving = pinned(TRAINING), pinned(SERVING)
    both = {each.name for each in training} & {each.name for each in serving}
    assert {"diffusers", "peft", "pydantic", "transformers"} < both
    assert not {"wandb", "bitsandbytes"} & {each.name for each in serving}
    assert [each for each in training if each.name in both] == [
        each for each in serving if each.name in both
    ]


def test_only_what_is_missing_or_of_another_version_is_installed() -> None:
    there = {"one": "1.0", "two": "2.0+cu130"}

    def installed(name: str) -> str:
        if name not in there:
            raise PackageNotFoundError(name)
        return there[name]

    text = "# a comment\none==1.0 \\\n    --hash=sha256:aa\ntwo==2.0\nthree==3.0\n"
    found = differing(parse(text), installed)
    assert [(each.name, each.version) for each in found] == [("two", "2.0"), ("three", "3.0")]
    assert parse(text)[0].line == "one==1.0 --hash=sha256:aa"


def test_what_is_missing_comes_from_the_wheels_beside_the_code(tmp_path: Path) -> None:
    python = make_interpreter(tmp_path / "python")
    job, bundle = container(tmp_path / "job")
    job.layout.config.unlink()  # the training itself is not what is asked about
    wheel = make_wheel(bundle.parent / "wheels")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    require(bundle, f"pydantic==2.14.3\nlensa-probe==1.0 \\\n    --hash=sha256:{digest}\n")
    done = run(python, bundle, environment(job))
    assert done.returncode == 2
    assert "no training configuration" in job.layout.failure.read_text()
    installing = parse_event(done.stdout.splitlines()[0])
    assert isinstance(installing, StageEvent)
    assert installing.stage == "installing"
    assert installing.message == "1 packages from the bundle's wheels: lensa-probe 1.0"
    probe = subprocess.run([python, "-c", "import lensa_probe"], capture_output=True)
    assert probe.returncode == 0
    again = run(python, bundle, environment(job))
    assert "installing" not in again.stdout


def test_what_differs_is_told_and_taken_as_it_is_where_nothing_may_be_installed(
    tmp_path: Path,
) -> None:
    python = make_interpreter(tmp_path / "python")
    job, bundle = container(tmp_path / "job")
    job.layout.config.unlink()
    require(bundle, f"pydantic==1.0\nlensa-probe==1.0 --hash=sha256:{'1' * 64}\n")
    done = run(python, bundle, environment(job, LENSA_INSTALL="never"))
    assert "no training configuration" in job.layout.failure.read_text()
    told = parse_event(done.stdout.splitlines()[0])
    assert isinstance(told, StageEvent) and told.message is not None
    assert told.message.startswith("nothing is installed (LENSA_INSTALL=never)")
    assert told.message.endswith("pydantic 1.0, lensa-probe 1.0")


@pytest.mark.parametrize(
    ("hashed", "reason"),
    [("0" * 64, "not the one that was pinned"), (None, "build the bundle anew")],
    ids=["another file", "no file"],
)
def test_a_wheel_that_is_altered_or_missing_ends_the_job_in_words(
    tmp_path: Path, hashed: str | None, reason: str
) -> None:
    python = make_interpreter(tmp_path / "python")
    job, bundle = container(tmp_path / "job")
    (bundle.parent / "wheels").mkdir()
    if hashed is not None:
        make_wheel(bundle.parent / "wheels")
    require(bundle, f"lensa-probe==1.0 --hash=sha256:{hashed or '1' * 64}\n")
    done = run(python, bundle, environment(job))
    assert done.returncode == 2
    failure = job.layout.failure.read_text()
    assert failure.startswith("lensa-probe==1.0 cannot be installed")
    assert reason in failure
    end = parse_event(done.stdout.splitlines()[-1])
    assert isinstance(end, EndEvent)
    assert (end.status, end.message, end.error) == ("failed", failure, "ConfigError")
    assert "Traceback" not in done.stderr


def test_an_index_that_cannot_be_reached_names_the_way_out(tmp_path: Path) -> None:
    python = make_interpreter(tmp_path / "python")
    job, bundle = container(tmp_path / "job")
    require(bundle, f"lensa-probe==1.0 --hash=sha256:{'1' * 64}\n")
    nobody = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": "/dev/null"}
    env = {name: value for name, value in environment(job).items() if not name.startswith("PIP_")}
    done = run(python, bundle, {**env, **nobody})
    assert done.returncode == 2
    failure = job.layout.failure.read_text()
    assert "the package index cannot be reached" in failure
    assert "network isolation" in failure


def test_a_version_that_the_index_lacks_is_named() -> None:
    requirements = parse("wandb==0.31.0 --hash=sha256:aa\npeft==0.18.1 --hash=sha256:bb\n")
    said = (
        "ERROR: Could not find a version that satisfies the requirement peft==0.18.1 (from "
        "versions: 0.17.0)\nERROR: No matching distribution found for peft==0.18.1\n"
    )
    text = explain(said, requirements, local=False)
    assert text.startswith("peft==0.18.1 cannot be installed: No matching distribution")


def test_a_stop_while_packages_are_installed_ends_pip_too(tmp_path: Path) -> None:
    python = make_interpreter(tmp_path / "python")
    job, bundle = container(tmp_path / "job")
    require(bundle, f"lensa-probe==1.0 --hash=sha256:{'1' * 64}\n")
    env = {name: value for name, value in environment(job).items() if not name.startswith("PIP_")}
    with socket.create_server(("127.0.0.1", 0)) as index:
        index.settimeout(60)
        place = f"http://127.0.0.1:{index.getsockname()[1]}/simple"
        launcher = subprocess.Popen(
            [python, bundle, "train"],
            env={**env, "PIP_INDEX_URL": place, "PIP_CONFIG_FILE": "/dev/null"},
            stdout=subprocess.PIPE,
            text=True,
        )
        pip, _ = index.accept()  # it asks, and waits for an answer
        with pip:
            launcher.send_signal(signal.SIGTERM)
            out, _ = launcher.communicate(timeout=60)
            pip.settimeout(60)
            while pip.recv(65536):  # what it had asked; then the end, or it would wait for ever
                pass
    assert launcher.returncode == 143
    assert json.loads(out.splitlines()[-1])["status"] == "stopped"
    assert not job.layout.failure.exists()


def test_an_image_without_pip_is_refused(tmp_path: Path) -> None:
    python = make_interpreter(tmp_path / "python", libraries=False)
    job, bundle = container(tmp_path / "job")
    assert run(python, bundle, environment(job)).returncode == 2
    failure = job.layout.failure.read_text()
    assert failure.startswith("accelerate 1.12.0 is not installed and ")
    assert failure.endswith("has no pip: use an image whose Python has pip.")
