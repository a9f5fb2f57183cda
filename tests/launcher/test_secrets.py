"""Secrets are read from Secrets Manager; what goes wrong is one sentence without the secret."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from launcher.say import SetupError
from launcher.secrets import read_secrets
from lensa.contract.environment import SECRETS

MISSING = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:nobody-AbCdEf"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def account(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    post(f"{address}/moto-api/reset")
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)


def post(url: str, data: bytes = b"") -> None:
    headers = {"Content-Type": "text/plain"}
    request = urllib.request.Request(url, data=data, headers=headers, method="POST")
    urllib.request.urlopen(request).close()


def store(**content: Any) -> str:
    client = boto3.client("secretsmanager", region_name="eu-west-1")
    return str(client.create_secret(Name="wandb", **content)["ARN"])


def wanting(arn: str) -> dict[str, str]:
    return {SECRETS: json.dumps({"WANDB_API_KEY": arn})}


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        ("k3y", "k3y"),
        (json.dumps({"WANDB_API_KEY": "k3y", "HF_TOKEN": "t"}), "k3y"),
        ("12345", "12345"),
    ],
    ids=["the value itself", "a JSON object", "a number"],
)
def test_a_secret_becomes_an_environment_variable(
    stored: str, value: str, capfd: pytest.CaptureFixture[str]
) -> None:
    environ = wanting(store(SecretString=stored))
    read_secrets(environ)
    assert environ["WANDB_API_KEY"] == value
    assert value not in "".join(capfd.readouterr())


def test_without_secrets_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    environ: dict[str, str] = {}
    read_secrets(environ)
    assert environ == {}


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(SetupError) as error:
        read_secrets(environ)
    assert "WANDB_API_KEY" not in environ
    return str(error.value)


def test_a_secret_that_is_not_there_is_named() -> None:
    assert f"there is no secret {MISSING}" in refusal(wanting(MISSING))


def test_a_role_that_may_not_read_it_is_told_which_permission(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = store(SecretString="k3y")
    iam = boto3.client("iam", region_name="us-east-1")
    iam.create_user(UserName="job")
    key = iam.create_access_key(UserName="job")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers whom it was made for
    post(f"{address}/moto-api/reset-auth", b"0")  # from here on permissions are asked for
    try:
        text = refusal(wanting(arn))
    finally:
        post(f"{address}/moto-api/reset-auth", b"Infinity")
    assert "may not read" in text
    assert "secretsmanager:GetSecretValue" in text


def test_a_secret_of_other_keys_or_of_bytes_is_refused_without_showing_it() -> None:
    text = refusal(wanting(store(SecretString=json.dumps({"OTHER": "k3y"}))))
    assert "without a text under 'WANDB_API_KEY'" in text
    assert "k3y" not in text
    arn = boto3.client("secretsmanager", region_name="eu-west-1").create_secret(
        Name="bytes", SecretBinary=b"k3y"
    )["ARN"]
    assert "holds bytes" in refusal(wanting(arn))


def test_a_service_that_cannot_be_reached_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "in eu-west-1 cannot be reached" in refusal(wanting(MISSING))


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"WANDB_API_KEY": "k3y"}', '{"WANDB_API_KEY": "arn:aws:s3:::bucket"}']
)
def test_what_names_no_secret_is_refused(text: str) -> None:
    assert "arn:aws:secretsmanager:" in refusal({SECRETS: text})
