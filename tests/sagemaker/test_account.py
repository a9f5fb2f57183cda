"""The account, and what AWS refuses: one clear message each, through botocore's real parsing."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from botocore import exceptions
from moto_server import (
    OWNER,
    Answer,
    Gate,
    gate_fixture,  # noqa: F401
    json_error,
    moto_address_fixture,  # noqa: F401
    no_waiting_fixture,  # noqa: F401
    query_error,
    s3_error,
)

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.patience import ATTEMPTS
from lensa.backends.sagemaker.refusal_table import RAISED
from lensa.backends.sagemaker.refusals import explained
from lensa.errors import AccountError, LensaError, ServiceError


def refused(account: Account, service: str, call: str, **arguments: object) -> LensaError:
    with pytest.raises(LensaError) as caught, explained("trying it"):
        getattr(account.client(service), call)(**arguments)
    message = str(caught.value)
    assert message.startswith("trying it failed: ")
    assert "None" not in message and "{" not in message
    return caught.value


def test_an_account_asks_nothing_until_it_is_used(gate: Gate) -> None:
    account = Account(region="eu-west-3")
    assert (account.region, account.partition) == ("eu-west-3", "aws")
    account.client("s3")
    assert not gate.requests


def test_making_an_account_loads_no_botocore() -> None:
    script = (
        "import sys; from lensa.backends.sagemaker.account import Account; Account(); "
        "from lensa.backends.sagemaker.transfer import Store; "
        "assert not {'botocore', 'boto3', 's3transfer'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_who_we_are_is_asked_once(gate: Gate) -> None:
    account = Account()
    assert account.id == account.id == OWNER
    assert len(gate.requests) == 1
    assert "lensa/" in gate.requests[0].headers["user-agent"]


def test_a_service_has_one_client_for_all_threads(gate: Gate) -> None:
    account = Account()
    with ThreadPoolExecutor(8) as pool:
        clients = set(pool.map(lambda _: id(account.client("s3")), range(32)))
    assert len(clients) == 1


@pytest.mark.parametrize(
    ("region", "partition"), [("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn")]
)
def test_the_partition_follows_from_the_region(gate: Gate, region: str, partition: str) -> None:
    assert Account(region=region).partition == partition


def test_what_is_no_region_is_refused(gate: Gate) -> None:
    with pytest.raises(AccountError, match="no AWS region 'narnia'"):
        Account(region="narnia").partition  # noqa: B018


def test_without_a_region_it_says_how_to_name_one(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(AccountError, match=r"--region .* LENSA_REGION"):
        Account().region  # noqa: B018


def test_a_profile_brings_its_region(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text("[profile mine]\nregion = ap-south-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert Account(profile="mine").region == "ap-south-1"
    with pytest.raises(AccountError, match=r"profile \(yours\).*aws configure list-profiles"):
        Account(profile="yours").client("s3")


# --- roles ---


def make_role(name: str, service: str, path: str = "/") -> str:
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        ],
    }
    made = boto3.client("iam").create_role(
        RoleName=name, Path=path, AssumeRolePolicyDocument=json.dumps(trust)
    )
    return str(made["Role"]["Arn"])


def caller(gate: Gate, arn: str) -> None:
    gate.rules.append(
        lambda request: (
            Answer(
                200,
                '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
                f"<GetCallerIdentityResult><Arn>{arn}</Arn><UserId>A:B</UserId>"
                f"<Account>{OWNER}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>",
                {"Content-Type": "text/xml"},
            )
            if "/sts/" in request.headers.get("authorization", "")
            else None
        )
    )


def test_a_role_is_found_by_its_name_with_its_path(gate: Gate) -> None:
    arn = make_role("trainer", "sagemaker.amazonaws.com", "/service-role/")
    assert arn.endswith("role/service-role/trainer")
    assert Account().role("trainer") == arn
    with pytest.raises(AccountError, match=r"no role 'trainee'.*--role"):
        Account().role("trainee")


def test_a_whole_arn_is_taken_without_asking(gate: Gate) -> None:
    arn = "arn:aws:iam::123456789012:role/service-role/x"
    assert Account().role(arn) == arn
    assert not gate.requests
    with pytest.raises(AccountError, match="neither the name nor the ARN"):
        Account().role("arn:aws:iam::123456789012:user/x")


def test_in_a_notebook_of_sagemakers_the_role_is_the_callers_own(gate: Gate) -> None:
    arn = make_role("notebook", "sagemaker.amazonaws.com", "/service-role/")
    caller(gate, f"arn:aws:sts::{OWNER}:assumed-role/notebook/SageMaker")
    assert Account().role(None) == arn


def test_a_role_that_sagemaker_may_not_assume_is_not_used(gate: Gate) -> None:
    make_role("admin", "ec2.amazonaws.com")
    caller(gate, f"arn:aws:sts::{OWNER}:assumed-role/admin/ada")
    with pytest.raises(AccountError, match=r"may not assume your own \(admin\).*LENSA_ROLE"):
        Account().role(None)


def test_a_plain_user_is_told_how_to_name_a_role(gate: Gate) -> None:
    caller(gate, f"arn:aws:iam::{OWNER}:user/ada")
    with pytest.raises(AccountError, match=r"needs a role.*--role"):
        Account().role(None)


# --- credentials ---


def test_missing_credentials_are_one_clear_error(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AccountError, match=r"there are no AWS credentials.*aws configure"):
        Account().id  # noqa: B018


def test_half_of_the_credentials_are_one_clear_error(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AccountError, match="incomplete"):
        Account().id  # noqa: B018


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (exceptions.UnauthorizedSSOTokenError(), AccountError, "sign-in has expired"),
        (exceptions.SSOTokenLoadError(error_msg="x"), AccountError, "aws sso login"),
        (
            exceptions.TokenRetrievalError(provider="sso", error_msg="x"),
            AccountError,
            "sign-in has expired",
        ),
        (
            exceptions.CredentialRetrievalError(provider="p", error_msg="broken"),
            AccountError,
            "broken",
        ),
        (exceptions.ReadTimeoutError(endpoint_url="https://x"), ServiceError, "did not answer"),
        (exceptions.ConnectTimeoutError(endpoint_url="https://x"), ServiceError, "did not answer"),
        (
            exceptions.ProxyConnectionError(proxy_url="https://x"),
            ServiceError,
            "Check HTTPS_PROXY",
        ),
        (exceptions.SSLError(endpoint_url="https://x", error="y"), ServiceError, "AWS_CA_BUNDLE"),
        (exceptions.DataNotFoundError(data_path="x"), AccountError, "Unable to load data for: x."),
    ],
)
def test_what_goes_wrong_on_this_side_is_said_in_words(
    error: Exception, kind: type[LensaError], words: str
) -> None:
    with pytest.raises(kind, match=r"^trying it failed: ") as caught, explained("trying it"):
        raise error
    assert words in str(caught.value)


def test_the_table_names_errors_that_botocore_has() -> None:
    assert [name for name in RAISED if not hasattr(exceptions, name)] == []


CANONICAL = (
    "The request signature we calculated does not match the signature you provided. The Canonical "
    "String for this request should have been 'POST / x-amz-security-token:IQoJb3JpZ2luX2VjSECRET'"
)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (query_error(403, "ExpiredToken", "The security token is expired"), "have expired"),
        (query_error(400, "RequestExpired", "Request has expired."), "have expired"),
        (query_error(403, "InvalidClientTokenId", "The token is invalid."), "does not know these"),
        (query_error(403, "SignatureDoesNotMatch", CANONICAL), "does not belong"),
        (
            query_error(403, "SignatureDoesNotMatch", "Signature expired: 1 is now earlier than 2"),
            "clock",
        ),
        (query_error(400, "Odd", "Key AKIAIOSFODNN7EXAMPLE is odd"), "Key AKIA... is odd (Odd)"),
        (query_error(400, "Odd", "at x-amz-security-token:SECRETSECRET now"), "(hidden) now"),
    ],
)
def test_refused_credentials_are_one_clear_error(gate: Gate, answer: Answer, words: str) -> None:
    gate.rules.append(lambda request: answer)
    error = refused(Account(), "sts", "get_caller_identity")
    assert isinstance(error, AccountError)
    assert words in str(error)
    shown = f"{error} {error.__cause__}"
    assert "SECRET" not in shown.replace("AWS_SECRET_ACCESS_KEY", "") and "EXAMPLE" not in shown


# --- SageMaker ---

USER = f"arn:aws:iam::{OWNER}:user/ada"
JOB = f"arn:aws:sagemaker:eu-west-1:{OWNER}:training-job/x"
ROLE = f"arn:aws:iam::{OWNER}:role/trainer"
KEY = f"arn:aws:kms:eu-west-1:{OWNER}:key/1234"


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (
            json_error(
                400,
                "AccessDeniedException",
                f"User: {USER} is not authorized to perform: sagemaker:CreateTrainingJob on "
                f"resource: {JOB} because no identity-based policy allows the "
                "sagemaker:CreateTrainingJob action",
            ),
            AccountError,
            [USER, "may not do sagemaker:CreateTrainingJob on", JOB, "Ask whoever administers"],
        ),
        (
            json_error(
                400,
                "AccessDeniedException",
                f"User: {USER} is not authorized to perform: iam:PassRole on resource: {ROLE} "
                "because no identity-based policy allows the iam:PassRole action",
            ),
            AccountError,
            ["run a job as the role trainer", "to sagemaker.amazonaws.com", "--role"],
        ),
        (
            json_error(
                400,
                "com.amazonaws.sagemaker#ResourceLimitExceeded",
                "The account-level service limit 'ml.g5.2xlarge for training job usage' is 0 "
                "Instances, with current utilization of 0 Instances and a request delta of 1 "
                "Instances. Please use AWS Service Quotas to request an increase for this quota.",
            ),
            AccountError,
            [
                "'ml.g5.2xlarge for training job usage' is 0 (new accounts often have 0)",
                "--desired-value 1 ",
                "servicequotas/home/services/sagemaker/quotas",
            ],
        ),
        (
            json_error(400, "ResourceLimitExceeded", "Too many training jobs."),
            AccountError,
            ["quota of the account is reached: Too many training jobs."],
        ),
        (
            json_error(400, "CapacityError", "Unable to provision requested ML compute capacity."),
            ServiceError,
            ["no machine of this type free", "another instance type"],
        ),
        (
            json_error(
                400,
                "ValidationException",
                "1 validation error detected: Value 'x' at 'roleArn' failed.\nAnd {more}.",
            ),
            AccountError,
            ["1 validation error detected: Value 'x' at 'roleArn' failed."],
        ),
        (
            json_error(400, "Conflicted", "Something unheard of."),
            AccountError,
            ["AWS says: Something unheard of (Conflicted)."],
        ),
    ],
    ids=["denied", "passrole", "quota", "limit", "capacity", "validation", "other"],
)
def test_what_sagemaker_refuses_is_said_in_words(
    gate: Gate, answer: Answer, kind: type[LensaError], words: list[str]
) -> None:
    if "more" in answer.body:
        answer = Answer(answer.status, answer.body.replace("\n", "\\n"), answer.headers)
        answer = Answer(answer.status, answer.body.replace("{more}", "more"), answer.headers)
    gate.rules.append(lambda request: answer)
    error = refused(Account(), "sagemaker", "describe_training_job", TrainingJobName="x")
    assert type(error) is kind
    for part in words:
        assert part in str(error)


def test_a_request_that_botocore_will_not_send_is_explained(gate: Gate) -> None:
    error = refused(Account(), "sagemaker", "describe_training_job", TrainingJobName=7)
    assert isinstance(error, AccountError) and "TrainingJobName" in str(error)


# --- S3 and KMS ---


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            s3_error(400, "KMS.DisabledException", f"{KEY} is disabled."),
            ["the KMS key is disabled", KEY, "enable-key"],
        ),
        (
            s3_error(400, "KMS.KMSInvalidStateException", f"{KEY} is pending deletion."),
            ["pending deletion", "cancel-key-deletion"],
        ),
        (
            s3_error(400, "KMS.NotFoundException", f"Key &apos;{KEY}&apos; does not exist"),
            ["there is no such KMS key"],
        ),
        (
            s3_error(
                403,
                "AccessDenied",
                f"User: {USER} is not authorized to perform: kms:GenerateDataKey on resource: "
                f"{KEY} because no resource-based policy allows the kms:GenerateDataKey action",
            ),
            ["may not do kms:GenerateDataKey on", "key's policy"],
        ),
        (
            s3_error(403, "AccessDenied", "Access Denied"),
            ["access denied", "for s3:PutObject."],
        ),
        (
            s3_error(
                403,
                "AccessDenied",
                f'User: {USER} is not authorized to perform: s3:PutObject on resource: "arn:aws:'
                's3:::b/k" with an explicit deny in a service control policy',
            ),
            ["may not do s3:PutObject on arn:aws:s3:::b/k (with an explicit deny in a service"],
        ),
        (s3_error(404, "NoSuchBucket", "The specified bucket does not exist"), ["no such bucket"]),
        (s3_error(403, "RequestTimeTooSkewed", "The difference is too large."), ["clock"]),
        (s3_error(400, "ExpiredToken", "The provided token has expired."), ["have expired"]),
        (s3_error(403, "InvalidAccessKeyId", "It does not exist."), ["does not know these"]),
    ],
)
def test_what_s3_refuses_is_said_in_words(gate: Gate, answer: Answer, words: list[str]) -> None:
    gate.rules.append(lambda request: answer)
    error = refused(Account(), "s3", "put_object", Bucket="b", Key="k", Body=b"x")
    assert type(error) is AccountError
    for part in words:
        assert part in str(error)


def test_a_bucket_that_moved_says_where_it_is(gate: Gate) -> None:
    error_body = s3_error(301, "PermanentRedirect", "Use the right endpoint.", Bucket="b").body
    gate.rules.append(lambda request: Answer(301, error_body, {"x-amz-bucket-region": "us-west-2"}))
    error = refused(Account(), "s3", "put_object", Bucket="b", Key="k", Body=b"x")
    assert "the bucket is in us-west-2" in str(error) and "--region" in str(error)


# --- patience ---


def test_a_storm_of_throttling_is_waited_out(gate: Gate, no_waiting: list[float]) -> None:
    """Two hundred throttled calls in a row are more than botocore itself would bear."""
    left = iter(range(200))

    def rule(request: object) -> Answer | None:
        if next(left, None) is None:
            return None
        return json_error(400, "ThrottlingException", "Rate exceeded")

    gate.rules.append(rule)
    client = Account().client("sagemaker")
    assert client.list_training_jobs()["TrainingJobSummaries"] == []
    assert len(no_waiting) == 200
    assert max(no_waiting) <= 20


def test_throttling_without_end_is_a_service_error(gate: Gate, no_waiting: list[float]) -> None:
    gate.rules.append(lambda request: s3_error(503, "SlowDown", "Please reduce your request rate."))
    error = refused(Account(), "s3", "get_object", Bucket="b", Key="k")
    assert type(error) is ServiceError and "throttling" in str(error)
    assert len(gate.requests) == ATTEMPTS


def test_a_fault_of_awss_own_is_a_service_error(gate: Gate, no_waiting: list[float]) -> None:
    gate.rules.append(lambda request: s3_error(500, "InternalError", "We had a problem."))
    error = refused(Account(), "s3", "get_object", Bucket="b", Key="k")
    assert type(error) is ServiceError and "InternalError: We had a problem" in str(error)
    assert 1 < len(gate.requests) <= 11


def test_an_address_where_nobody_listens_is_a_service_error(
    gate: Gate, no_waiting: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    error = refused(Account(), "s3", "get_object", Bucket="b", Key="k")
    assert type(error) is ServiceError and "Check the network" in str(error)


def test_an_error_that_is_explained_already_stays_as_it_is() -> None:
    with pytest.raises(AccountError, match=r"^once$"), explained("twice"):
        raise AccountError("once")


def test_an_error_that_is_not_awss_stays_as_it_is() -> None:
    with pytest.raises(KeyError), explained("trying it"):
        {}["key"]
