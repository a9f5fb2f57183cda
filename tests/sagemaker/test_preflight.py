"""Before anything is uploaded or paid: what is asked, and how what fails is said and mended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cloud import keys_in, settle, train
from conftest import write_photos

from lensa.backends.findings import Check, Finding, require
from lensa.backends.sagemaker import keys, preflight
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.hosting.options import DeployOptions
from lensa.backends.sagemaker.images import training_image
from lensa.backends.sagemaker.options import SagemakerOptions
from lensa.backends.sagemaker.preflight.base_model import check_base
from lensa.backends.sagemaker.preflight.container import check_image
from lensa.backends.sagemaker.preflight.needs import Need, of_hosting, of_training
from lensa.backends.sagemaker.preflight.quotas import check_quota
from lensa.backends.sagemaker.preflight.roles import (
    check_role,
    check_scheduler_role,
    trusted_services,
)
from lensa.bases import resolve_base
from lensa.contract import BASES, BaseModelRef
from lensa.contract.weights import REVISION_FILE
from lensa.errors import AccountError, BaseModelError, ConfigError, ServiceError
from lensa.settings import load_settings
from lensa.testing import SagemakerTwin

GPU = "ml.g5.2xlarge"
HUB = BaseModelRef(name="somebody/model", source="hub", location="somebody/model")


@pytest.fixture(autouse=True)
def cloud(sagemaker_twin: SagemakerTwin, monkeypatch: pytest.MonkeyPatch) -> SagemakerTwin:
    settle(sagemaker_twin, monkeypatch)
    return sagemaker_twin


def found(
    options: SagemakerOptions | DeployOptions | None = None,
    base: BaseModelRef | None = None,
    **settings: Any,
) -> dict[str, Finding]:
    """Return what preflight finds, by name."""
    known = load_settings(**settings)
    account = Account(region=known.region)
    bucket = Bucket(account, known.bucket or "", known.prefix, known.kms_key)
    if isinstance(options, DeployOptions):
        findings = preflight.before_deploy(account, bucket, known, options, base)
    else:
        options = options or SagemakerOptions()
        findings = preflight.before_training(account, bucket, known, options, base)
    return {one.name: one for one in findings}


def need(options: SagemakerOptions | DeployOptions | None = None, **settings: Any) -> Need:
    known = load_settings(**settings)
    if isinstance(options, DeployOptions):
        return of_hosting(known, options)
    return of_training(known, options or SagemakerOptions())


def only(check: Callable[[Account, Need], Check], *options: Any, **settings: Any) -> Finding:
    """Return what one check alone finds."""
    return check(Account(), need(*options, **settings)).run()


def quota(options: SagemakerOptions | DeployOptions | None = None) -> Finding:
    home = load_settings().home_path
    return check_quota(Account(), home, need(options), in_use=False).run()


def base_model(base: BaseModelRef, options: SagemakerOptions | None = None) -> Finding:
    bucket = Bucket(Account(), str(load_settings().bucket))
    return check_base(bucket, need(options), base).run()


def failures(findings: dict[str, Finding]) -> list[str]:
    return [one.name for one in findings.values() if one.status == "failed"]


# --- an account in order ---


def test_an_account_in_order_has_nothing_to_mend(cloud: SagemakerTwin) -> None:
    findings = found(base=BASES["micro"])
    assert {one.status for one in findings.values()} == {"ok"}, findings
    assert cloud.account in findings["credentials"].words
    assert "sagemaker.amazonaws.com may assume" in findings["role"].words
    assert f"{GPU} for training job usage: 4" in findings["quota"].words
    require(findings.values())


def test_asking_changes_nothing(cloud: SagemakerTwin) -> None:
    found(base=BASES["micro"])
    verbs = ("Get", "List", "Head", "Describe")
    assert [call.operation for call in cloud.calls if not call.operation.startswith(verbs)] == []
    assert not keys_in(cloud)


# --- everything at once ---


def test_all_that_fails_is_listed_at_once_each_with_what_mends_it(
    cloud: SagemakerTwin, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.quotas[f"{GPU} for training job usage"] = 0
    cloud.faults.foreign_bucket(cloud.bucket)
    monkeypatch.setenv("LENSA_ROLE", f"arn:aws:iam::{cloud.account}:role/nobody")
    with pytest.raises(AccountError) as raised:
        train(photos)
    text = str(raised.value)
    assert text.startswith("3 things stand in the way. Nothing was uploaded or started.\n- role: ")
    assert "has no role 'nobody'" in text and "lensa setup" in text
    assert "- bucket: " in text and "belongs to another account" in text
    assert f"'{GPU} for training job usage' is 0" in text
    assert (
        "https://us-east-1.console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas/L-"
    ) in text
    assert not cloud.jobs and not keys_in(cloud)


def test_what_fails_alone_is_an_error_of_its_own_kind(cloud: SagemakerTwin) -> None:
    alone = Finding("base model", "failed", "there is none.", "Name another.", BaseModelError)
    with pytest.raises(BaseModelError, match=r"^there is none\. Name another\.$"):
        require([Finding("role", "unknown", "?"), alone])


def test_a_training_asks_for_its_base_model_as_well(cloud: SagemakerTwin, tmp_path: Path) -> None:
    cloud.quotas[f"{GPU} for training job usage"] = 0
    photos = write_photos(tmp_path / "large", side=512)
    with pytest.raises(AccountError) as raised:
        train(photos, base="somebody/model", network_isolation=True, anyway=True)
    assert "- quota: " in str(raised.value)
    assert "lensa mirror somebody/model" in str(raised.value)


# --- who we are ---


def test_without_credentials_that_work_nothing_else_is_asked(
    cloud: SagemakerTwin, photos: Path
) -> None:
    cloud.faults.expire_credentials()
    findings = found()
    assert failures(findings) == ["credentials"]
    assert {one.status for one in findings.values()} == {"failed", "skipped"}
    assert [call.operation for call in cloud.calls] == ["GetCallerIdentity"]
    with pytest.raises(AccountError, match=r"credentials have expired.*aws sso login"):
        train(photos)


def test_a_region_that_is_none_is_said(cloud: SagemakerTwin) -> None:
    finding = found(region="narnia")["region"]
    assert "no AWS region 'narnia'" in finding.words and "--region" in finding.mend


def test_an_account_that_cannot_be_reached_is_nobodys_mistake(
    cloud: SagemakerTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.retries.standard.RetryHandler.needs_retry", lambda *_, **__: None)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match="Check the network"):
        require(found().values())


# --- what may not be asked ---


@pytest.mark.parametrize(
    ("operation", "name", "permission"),
    [
        ("GetRole", "role", "iam:GetRole"),
        ("ListServiceQuotas", "quota", "servicequotas:GetServiceQuota"),
    ],
)
def test_what_may_not_be_asked_is_unknown_and_stops_nothing(
    cloud: SagemakerTwin, operation: str, name: str, permission: str
) -> None:
    cloud.faults.fail(operation, "AccessDeniedException", "not authorized", times=None)
    findings = found()
    assert findings[name].status == "unknown"
    assert permission in findings[name].words
    require(findings.values())


def test_a_bucket_that_may_not_be_listed_is_of_no_use(cloud: SagemakerTwin) -> None:
    cloud.faults.fail("HeadBucket", "AccessDenied", times=None, status=403)
    cloud.faults.fail("ListObjectsV2", "AccessDenied", "Access Denied", times=None)
    assert failures(found()) == ["bucket"]


# --- roles ---


def make_role(cloud: SagemakerTwin, name: str, *services: str) -> str:
    trust = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": list(services)},
            "Action": "sts:AssumeRole",
        },
    }
    made = cloud.client("iam").create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps(trust)
    )
    return str(made["Role"]["Arn"])


def test_a_role_without_sagemakers_trust_is_refused_with_the_statement_it_lacks(
    cloud: SagemakerTwin,
) -> None:
    finding = only(check_role, role=make_role(cloud, "worker", "ec2.amazonaws.com"))
    assert finding.status == "failed"
    assert "worker may not be assumed by sagemaker.amazonaws.com" in finding.words
    assert "ec2.amazonaws.com" in finding.words
    assert '"Principal": {"Service": "sagemaker.amazonaws.com"}' in finding.mend
    assert "us-east-1.console.aws.amazon.com/iam/home" in finding.mend
    assert "roles/details/worker" in finding.mend


def test_a_role_of_another_account_is_refused(cloud: SagemakerTwin) -> None:
    finding = only(check_role, role="arn:aws:iam::210987654321:role/theirs")
    assert finding.status == "failed" and "account 210987654321" in finding.words


@pytest.mark.parametrize(
    ("statements", "services"),
    [
        ([{"Effect": "Deny", "Principal": {"Service": "a"}, "Action": "sts:AssumeRole"}], set()),
        ([{"Effect": "Allow", "Principal": {"AWS": "1"}, "Action": "sts:AssumeRole"}], set()),
        ([{"Effect": "Allow", "Principal": {"Service": "a"}, "Action": ["sts:*"]}], {"a"}),
        ([{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}], None),
        ("nonsense", None),
    ],
)
def test_a_trust_policy_is_read_as_iam_writes_it(
    statements: object, services: set[str] | None
) -> None:
    assert trusted_services({"Statement": statements}) == services


def test_an_endpoint_needs_a_role_that_the_scheduler_may_assume(cloud: SagemakerTwin) -> None:
    one = make_role(cloud, "only-sagemaker", "sagemaker.amazonaws.com")
    finding = only(check_scheduler_role, DeployOptions(), role=one)
    assert finding.status == "failed"
    assert "scheduler.amazonaws.com" in finding.words and "lensa setup" in finding.mend
    assert "scheduler role" not in found(DeployOptions(keep="forever"), role=one)
    for right in ("sagemaker:DeleteEndpoint", "application-autoscaling:DeregisterScalableTarget"):
        assert right in finding.mend
    both = make_role(cloud, "both", "sagemaker.amazonaws.com", "scheduler.amazonaws.com")
    assert only(check_scheduler_role, DeployOptions(), role=both).status == "ok"
    own = {"role": one, "scheduler_role": make_role(cloud, "clock", "scheduler.amazonaws.com")}
    trusted = only(check_scheduler_role, DeployOptions(), **own)
    assert trusted.status == "ok" and "its rights are not checked" in trusted.words


def test_what_ails_a_role_with_two_uses_is_said_once(cloud: SagemakerTwin) -> None:
    findings = found(DeployOptions(), role=f"arn:aws:iam::{cloud.account}:role/nobody")
    assert failures(findings) == ["role"]
    assert findings["scheduler role"].status == "skipped"


# --- quotas ---


def test_each_use_of_a_machine_has_a_quota_of_its_own(cloud: SagemakerTwin) -> None:
    cloud.quotas[f"{GPU} for spot training job usage"] = 0
    cloud.quotas["ml.g5.xlarge for endpoint usage"] = 0
    assert quota().status == "ok"
    assert quota(SagemakerOptions(spot=True)).status == "failed"
    finding = quota(DeployOptions())
    assert "'ml.g5.xlarge for endpoint usage' is 0 (new accounts often have 0)" in finding.words
    assert "Ask for more: https://us-east-1.console.aws.amazon.com/servicequotas" in finding.mend


def test_a_machine_that_is_kept_warm_needs_a_quota_for_that_as_well(cloud: SagemakerTwin) -> None:
    warm = SagemakerOptions(warm_pool_minutes=10)
    cloud.quotas[f"{GPU} for training warm pool usage"] = 0
    assert failures(found(warm)) == ["warm pool quota"]
    assert not failures(found())


def test_an_endpoint_that_may_grow_needs_room_to(cloud: SagemakerTwin) -> None:
    finding = quota(DeployOptions(asynchronous=True, max_instances=9))
    assert finding.status == "failed"
    assert "is 4, and 9 are asked for" in finding.words and "--desired-value 9" in finding.mend


def test_a_code_that_was_found_once_is_not_looked_for_again(cloud: SagemakerTwin) -> None:
    assert quota().status == "ok"
    assert cloud.called("ListServiceQuotas") and not cloud.called("GetServiceQuota")
    pages = len(cloud.called("ListServiceQuotas"))
    cloud.quotas[f"{GPU} for training job usage"] = 0
    assert quota().status == "failed"
    assert len(cloud.called("ListServiceQuotas")) == pages


def test_a_code_that_is_another_quotas_is_looked_for_again(
    cloud: SagemakerTwin, isolated: Path
) -> None:
    (isolated / "quota-codes.json").write_text(f'{{"{GPU} for training job usage": "L-00000000"}}')
    assert "usage: 4" in quota().words


def test_an_instance_type_without_a_quota_is_unknown(cloud: SagemakerTwin) -> None:
    assert quota(SagemakerOptions(instance_type="ml.g99.huge")).status == "unknown"


# --- images ---


def test_an_image_of_ones_own_has_to_be_in_the_registry(cloud: SagemakerTwin) -> None:
    registry = f"{cloud.account}.dkr.ecr.us-east-1.amazonaws.com"
    image = f"{registry}/lensa:1"

    def finding(uri: str) -> Finding:
        return only(check_image, SagemakerOptions(image=uri))

    assert "no repository 'lensa'" in finding(image).words
    assert "aws ecr create-repository" in finding(image).mend
    ecr = cloud.client("ecr")
    ecr.create_repository(repositoryName="lensa")
    assert "docker push" in finding(image).mend
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": {"digest": "sha256:0"}}
    ecr.put_image(repositoryName="lensa", imageManifest=json.dumps(manifest), imageTag="1")
    assert finding(image).status == "ok"
    assert "eu-west-1" in finding(image.replace("us-east-1", "eu-west-1")).words
    assert finding(training_image("us-east-1")).status == "unknown"
    assert finding("docker.io/somebody/lensa").status == "unknown"


def test_a_region_without_awss_image_is_said(cloud: SagemakerTwin) -> None:
    finding = found(region="ap-southeast-4")["container image"]
    assert finding.status == "failed" and finding.kind is ConfigError


# --- base models ---


@contextmanager
def hub(answers: dict[str | None, int]) -> Iterator[str]:
    """A hub that answers by the token it is sent; None: nobody's."""

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
            right = self.path == "/somebody/model/resolve/main/model_index.json"
            self.send_response(answers.get(token, 401) if right else 500)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("answers", "token", "secret", "status", "words"),
    [
        ({None: 200}, None, False, "ok", "everybody"),
        ({None: 404}, None, False, "failed", "no diffusers model"),
        ({None: 503}, None, False, "unknown", "cannot be asked"),
        ({}, None, True, "failed", "HF_TOKEN is not set"),
        ({}, "mine", True, "failed", "not to yours"),
        ({"mine": 200}, "mine", False, "failed", "the container has none"),
        ({"mine": 200}, "mine", True, "ok", "accepted"),
    ],
)
def test_a_base_on_the_hub_is_there_and_its_licence_accepted(
    cloud: SagemakerTwin,
    monkeypatch: pytest.MonkeyPatch,
    answers: dict[str | None, int],
    token: str | None,
    secret: bool,
    status: str,
    words: str,
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    arn = f"arn:aws:secretsmanager:us-east-1:{cloud.account}:secret:hub"
    options = SagemakerOptions(hub_secret=arn if secret else None)
    with hub(answers) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        finding = base_model(HUB, options)
        page = f"{address}/somebody/model"
    assert (finding.status, words in finding.words) == (status, True), finding
    if status == "failed" and answers != {"mine": 200}:
        assert page in finding.mend


def test_a_mirror_needs_no_hub_once_it_is_whole(cloud: SagemakerTwin) -> None:
    isolated = SagemakerOptions(network_isolation=True)
    s3, prefix = cloud.client("s3"), f"lensa/{keys.base(HUB, 'abc')}"
    s3.put_object(Bucket=cloud.bucket, Key=f"{prefix}/model_index.json", Body=b"{}")
    finding = base_model(HUB, isolated)
    assert finding.status == "failed" and "lensa mirror somebody/model" in finding.mend
    s3.put_object(Bucket=cloud.bucket, Key=f"{prefix}/{REVISION_FILE}", Body=b"abc")
    assert f"s3://{cloud.bucket}/{prefix}" in base_model(HUB, isolated).words


def test_a_base_of_this_machine_has_to_be_here_or_in_the_bucket(tmp_path: Path) -> None:
    assert base_model(resolve_base("mini")).status == "ok"
    gone = BaseModelRef(name="gone", source="folder", location=str(tmp_path / "gone"))
    finding = base_model(gone)
    assert finding.status == "failed" and "lensa mirror" in finding.mend
