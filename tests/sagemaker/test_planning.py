"""Time, price, budget, and what a dry run prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import write_photos
from typer.testing import CliRunner

from lensa.backends.sagemaker.options import SagemakerOptions
from lensa.backends.sagemaker.submission import max_seconds
from lensa.cli import app
from lensa.client import Client
from lensa.costs import forecast
from lensa.errors import ConfigError

ROLE = "arn:aws:iam::123456789012:role/lensa"


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, isolated: Path) -> Client:
    """A client for an account that cannot be reached: no credentials, no way out."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return Client(backend="sagemaker", region="eu-west-1", role=ROLE, base="micro")


def test_a_dry_run_asks_nothing_and_leaves_nothing(
    cloud: Client, photos: Path, isolated: Path
) -> None:
    operations, _ = cloud.dry_run(photos, subject="ada", spot=True, max_hours=1)
    assert list(operations) == ["CreateTrainingJob"]
    request = operations["CreateTrainingJob"]
    assert request["StoppingCondition"]["MaxRuntimeInSeconds"] == 3600
    assert request["OutputDataConfig"]["S3OutputPath"] == (
        "s3://lensa-123456789012-eu-west-1/lensa/avatars"
    )
    assert "ada" not in json.dumps(operations)
    assert not list(isolated.iterdir())


def test_the_command_prints_one_object(cloud: Client, photos: Path) -> None:
    arguments = ["train", str(photos), "--base", "micro", "--backend", "sagemaker"]
    arguments += ["--region", "us-east-1", "--role", ROLE, "--json"]
    plain = CliRunner().invoke(app, [*arguments, "--dry-run"])
    assert plain.exit_code == 0, plain.output
    assert list(json.loads(plain.stdout)) == ["CreateTrainingJob"]
    priced = json.loads(CliRunner().invoke(app, [*arguments, "--plan"]).stdout)
    assert priced["plan"]["hourly"] == 1.515
    assert priced["plan"]["most_dollars"] == pytest.approx(4 * 1.515)


@pytest.mark.parametrize(
    ("settings", "options", "words"),
    [
        ({"role": "lensa"}, {}, "the role's whole ARN"),
        ({"role": ROLE}, {"instance_tpye": "x"}, "Did you mean 'instance_type'?"),
        ({"role": ROLE, "region": "mars-1"}, {}, "no Hugging Face training image"),
        (
            {"role": ROLE},
            {"precision": "fp16", "instance_type": "ml.m5.xlarge"},
            "needs a GPU",
        ),
    ],
)
def test_what_a_dry_run_refuses(
    photos: Path, settings: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    client = Client(backend="sagemaker", base="micro", **{"region": "us-east-1", **settings})
    with pytest.raises(ConfigError) as raised:
        client.dry_run(photos, **options)
    assert words in str(raised.value)


def test_an_isolated_job_is_told_to_mirror_its_base_by_the_name_that_it_is_looked_for(
    cloud: Client, tmp_path: Path
) -> None:
    large = write_photos(tmp_path / "large", side=256)
    with pytest.raises(ConfigError, match=r"lensa mirror sd15$"):
        cloud.dry_run(large, base="sd15", network_isolation=True)
    with pytest.raises(ConfigError, match=r"lensa mirror studio/tiny@v2$"):
        cloud.dry_run(large, base="studio/tiny@v2", network_isolation=True)


def test_options_of_the_platform_are_refused_on_this_machine(client: Client, photos: Path) -> None:
    with pytest.raises(ConfigError, match="spot is an option of backend='sagemaker'"):
        client.train(photos, spot=True)
    with pytest.raises(ConfigError, match="use backend='sagemaker'"):
        client.dry_run(photos, base="micro")


def test_the_small_gpu_gets_the_lean_recipe(cloud: Client, photos: Path) -> None:
    backend = cloud.backend.with_options(instance_type="ml.g4dn.2xlarge")
    assert backend.recipe() == {"gradient_checkpointing": True, "optimizer": "adamw8bit"}
    assert cloud.backend.recipe() == {}


def test_a_budget_becomes_the_longest_runtime() -> None:
    assert max_seconds(SagemakerOptions(max_hours=3), None) == 3 * 3600
    assert max_seconds(SagemakerOptions(budget=1.515), 1.515) == 3600
    assert max_seconds(SagemakerOptions(budget=100, max_hours=2), 1.515) == 2 * 3600
    with pytest.raises(ConfigError, match=r"\$0\.10 pays for 4 minutes"):
        max_seconds(SagemakerOptions(budget=0.1), 1.515)
    with pytest.raises(ConfigError, match="needs the price of"):
        max_seconds(SagemakerOptions(budget=5), None)


def test_the_forecast_grows_with_the_work() -> None:
    config = Client().configure(base="sd15", steps=400, train_text_encoder=False)
    short = forecast(config, "ml.g5.2xlarge", 1.515, 3600)
    long = forecast(config.model_copy(update={"steps": 800}), "ml.g5.2xlarge", 1.515, 3600)
    assert long.seconds["training"] == 2 * short.seconds["training"]
    assert short.dollars == pytest.approx(short.total_seconds / 3600 * 1.515, abs=1e-3)
    assert forecast(config, "ml.g5.2xlarge", None, 3600).dollars is None
