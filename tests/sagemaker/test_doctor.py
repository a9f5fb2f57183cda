"""`lensa doctor`: everything that stands in the way, at once, and what it would cost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cloud import keys_in, settle, train
from conftest import write_photos
from typer.testing import CliRunner, Result

import lensa
from lensa.backends.findings import Finding
from lensa.backends.local.checks import findings as local_findings
from lensa.cli import app
from lensa.client import Client
from lensa.contract import BASES
from lensa.costs import PRICES_DATE
from lensa.diagnosis import Diagnosis
from lensa.errors import ConfigError
from lensa.testing import SagemakerTwin

GPU = "ml.g5.2xlarge"


@pytest.fixture
def cloud(sagemaker_twin: SagemakerTwin, monkeypatch: pytest.MonkeyPatch) -> SagemakerTwin:
    settle(sagemaker_twin, monkeypatch)
    return sagemaker_twin


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["doctor", "--base", "micro", *arguments])


def told(*arguments: str) -> dict[str, Any]:
    """Return what `lensa doctor --json` prints."""
    value: dict[str, Any] = json.loads(doctor(*arguments, "--json").stdout)
    return value


def by_name(report: Diagnosis) -> dict[str, Finding]:
    return {one.name: one for one in report.findings}


# --- an AWS account ---


def test_an_account_in_order_is_told_so_with_time_and_price(cloud: SagemakerTwin) -> None:
    result = doctor()
    assert result.exit_code == 0, result.output
    assert "Nothing stands in the way." in result.stdout
    assert f"ok      quota             {GPU} for training job usage: 4, 0 in use" in result.stdout
    assert "$1.515 an hour, by AWS's price list today" in result.stdout
    assert "may not do iam:PassRole" in result.stdout  # how the one thing looks that is not asked
    verbs = ("Get", "List", "Head", "Describe")
    assert [call.operation for call in cloud.calls if not call.operation.startswith(verbs)] == []
    assert not keys_in(cloud)


def test_all_failures_are_listed_at_once_and_the_exit_code_is_one(cloud: SagemakerTwin) -> None:
    cloud.quotas[f"{GPU} for spot training job usage"] = 0
    cloud.faults.foreign_bucket(cloud.bucket)
    result = doctor("--role", "nobody", "--spot")
    assert result.exit_code == 1
    failed = [line[8:].split("  ")[0] for line in result.stdout.splitlines() if "FAILED" in line]
    assert failed == ["role", "bucket", "quota"]
    assert "lensa setup makes one" in result.stdout
    assert "3 things stand in the way." in result.stdout
    link = "https://us-east-1.console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas/"
    assert link in result.stdout  # in one piece, however narrow the terminal


def test_a_script_reads_the_same_as_json(cloud: SagemakerTwin) -> None:
    cloud.faults.fail("GetRole", "AccessDenied", "not authorized", times=None)
    report = told()
    found = {one["name"]: one for one in report["findings"]}
    assert report["ok"] and found["role"]["status"] == "unknown"
    assert "iam:GetRole" in found["role"]["words"]
    assert report["estimate"]["hourly"] == 1.515
    assert 0 < report["estimate"]["dollars"] < 6.06


def test_the_price_is_the_tables_where_the_list_may_not_be_asked_and_says_so(
    cloud: SagemakerTwin,
) -> None:
    cloud.faults.fail("GetProducts", "AccessDeniedException", "not you", times=None)
    assert f"by lensa's table of {PRICES_DATE}" in told()["estimate"]["words"]
    unknown = told("--instance-type", "ml.g99.huge")
    assert "price is not known" in unknown["estimate"]["words"]
    assert unknown["estimate"]["dollars"] is None


def test_an_endpoint_is_looked_at_with_its_own_quota_price_and_end(cloud: SagemakerTwin) -> None:
    cloud.prices["us-east-1", "ml.g5.xlarge"] = 1.5
    kept = told("--for", "deploy", "--set", "keep=3d")
    found = {one["name"]: one for one in kept["findings"]}
    assert "ml.g5.xlarge for endpoint usage" in found["quota"]["words"]
    assert found["scheduler role"]["status"] in {"ok", "failed"}
    assert "$108.00 for its 3 days" in kept["estimate"]["words"]
    assert kept["estimate"]["dollars"] == 108
    several = ("--set", "asynchronous=true", "--set", "max_instances=2")
    scaling = told("--for", "deploy", "--set", "keep=3d", *several)["estimate"]
    assert scaling["words"].startswith("at most $216.00 for its 3 days")
    assert scaling["dollars"] == 216
    forever = told("--for", "deploy", "--set", "keep=forever")
    assert "$36.00 a day" in forever["estimate"]["words"]
    assert "scheduler role" not in {one["name"] for one in forever["findings"]}


def test_a_quota_that_is_used_up_names_what_uses_it(cloud: SagemakerTwin, photos: Path) -> None:
    cloud.faults.slow_start(3600)
    job = train(photos, wait=False)
    assert f"{GPU} for training job usage: 4, 1 in use" in str(Client(base="micro").doctor())
    cloud.quotas[f"{GPU} for training job usage"] = 1
    finding = by_name(Client(base="micro").doctor())["quota"]
    assert finding.status == "failed" and job.name in finding.words  # type: ignore[attr-defined]
    assert "lensa stop JOB" in finding.mend and "Ask for more" in finding.mend


def test_a_bucket_that_leaks_or_keeps_photos_is_told_of(cloud: SagemakerTwin) -> None:
    words = by_name(Client(base="micro").doctor())["bucket's rules"].words
    assert "the photos stay until they are deleted" in words
    assert "does not itself block public access" in words


def test_without_an_account_the_rest_waits(cloud: SagemakerTwin) -> None:
    cloud.faults.expire_credentials()
    report = Client(base="micro").doctor()
    assert [one.name for one in report.failures] == ["credentials"]
    assert "aws sso login" in report.failures[0].words
    assert by_name(report)["quota"].status == "skipped"


# --- photos and base models ---


def test_photos_are_looked_at_as_lensa_check_does(cloud: SagemakerTwin, tmp_path: Path) -> None:
    few = write_photos(tmp_path / "few", count=1)
    result = doctor(str(few))
    assert result.exit_code == 1
    assert "FAILED  photos" in result.stdout and "lensa check PHOTOS" in result.stdout
    enough = write_photos(tmp_path / "enough", count=5)
    as_to_train = Client(base="micro").doctor(enough, subject="ada", method="lora", spot=True)
    assert by_name(as_to_train)["photos"].words.startswith("5 photos: ")
    nowhere = by_name(Client(base="micro").doctor(tmp_path / "nowhere"))["photos"]
    assert nowhere.status == "failed"


def test_a_base_model_that_is_none_is_one_of_the_failures(cloud: SagemakerTwin) -> None:
    finding = by_name(Client(base="sd51").doctor())["base model"]
    assert finding.status == "failed" and "Did you mean 'sd15'?" in finding.words


# --- this machine ---


def test_this_machine_is_looked_at_without_loading_what_it_would_train_with() -> None:
    script = (
        "import sys; from lensa.client import Client; report = Client(base='mini').doctor(); "
        "print(report); assert not {'torch', 'diffusers', 'botocore'} & set(sys.modules); "
        "sys.exit(not report.ok)"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert out.returncode == 0, out.stdout + out.stderr
    assert "To train on this machine" in out.stdout
    assert "ok      ML stack    torch " in out.stdout
    assert "from lensa-mini" in out.stdout


def test_a_home_that_cannot_be_one_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    found = {one.name: one for one in local_findings(tmp_path / "file" / "home", BASES["micro"])}
    assert found["home"].status == "failed" and "LENSA_HOME" in found["home"].mend
    assert not (tmp_path / "file").is_dir()


def test_the_gpu_is_what_nvidias_own_program_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA A10G, 23028 MiB'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert by_name(Client(base="micro").doctor())["graphics"].words == "NVIDIA A10G, 23028 MiB"
    program.write_text("#!/bin/sh\necho 'No devices were found' >&2\nexit 6\n")
    finding = by_name(Client(base="micro").doctor())["graphics"]
    assert finding.status == "unknown" and "No devices were found" in finding.words


def test_a_hub_model_that_was_fetched_is_found_where_the_hub_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert by_name(Client(base="sd15").doctor())["base model"].status == "unknown"
    model = tmp_path / "models--stable-diffusion-v1-5--stable-diffusion-v1-5" / "snapshots" / "abc"
    model.mkdir(parents=True)
    (model / "model_index.json").write_text("{}")
    assert by_name(Client(base="sd15").doctor())["base model"].status == "ok"


# --- what is asked ---


def test_a_word_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown purpose 'fly'"):
        lensa.doctor(purpose="fly")
    with pytest.raises(ConfigError, match="instance_type is an option of backend='sagemaker'"):
        lensa.doctor(instance_type=GPU)
    with pytest.raises(ConfigError, match="option of backend='sagemaker'"):
        lensa.doctor(purpose="deploy", keep="3d")
    assert doctor("--kind", "dragon").exit_code == 2


def test_a_notebook_shows_the_report_and_nothing_of_it_is_markup() -> None:
    report = Diagnosis("To train", (Finding("role", "failed", "<b>no</b>", "aws iam <name>"),))
    page = report._repr_html_()
    assert "&lt;b&gt;no" in page and "<code>aws iam &lt;name&gt;</code>" in page
    assert "1 thing stands in the way." in page
