"""The bucket: made private, checked before anything is sent, and read back through the API."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from moto_server import (
    OWNER,
    Answer,
    Gate,
    Request,
    gate_fixture,  # noqa: F401
    json_error,
    moto_address_fixture,  # noqa: F401
    owned_by,
    s3_error,
)

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.bucket import Bucket, default_name
from lensa.errors import AccountError

TLS_ONLY = {
    "Sid": "LensaTlsOnly",
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": ["arn:aws:s3:::avatars", "arn:aws:s3:::avatars/*"],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


@pytest.fixture
def bucket(gate: Gate) -> Bucket:
    return Bucket(Account(), "avatars")


def s3() -> Any:
    return boto3.client("s3")


def statements(name: str = "avatars") -> list[dict[str, Any]]:
    policy = json.loads(s3().get_bucket_policy(Bucket=name)["Policy"])
    return list(policy["Statement"])


def lifecycle() -> dict[str, dict[str, Any]]:
    rules = s3().get_bucket_lifecycle_configuration(Bucket="avatars")["Rules"]
    return {rule["ID"]: rule for rule in rules}


def test_a_bucket_is_made_private_encrypted_and_forgetful(bucket: Bucket) -> None:
    bucket.create(photo_days=14)
    client = s3()
    assert client.get_bucket_location(Bucket="avatars")["LocationConstraint"] == "eu-west-1"
    blocked = client.get_public_access_block(Bucket="avatars")["PublicAccessBlockConfiguration"]
    assert len(blocked) == 4 and all(blocked.values())
    owners = client.get_bucket_ownership_controls(Bucket="avatars")["OwnershipControls"]
    assert owners == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert encryption()["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert statements() == [TLS_ONLY]
    rules = lifecycle()
    photos, checkpoints = rules["lensa: photos in lensa/photos/"], rules[CHECKPOINTS]
    assert (photos["Filter"]["Prefix"], photos["Expiration"]["Days"]) == ("lensa/photos/", 14)
    assert photos["NoncurrentVersionExpiration"]["NoncurrentDays"] == 1
    assert checkpoints["Filter"]["Prefix"] == "lensa/checkpoints/"
    assert checkpoints["Expiration"]["Days"] == 30
    asked = rules["lensa: asynchronous requests in lensa/async/"]
    assert (asked["Filter"]["Prefix"], asked["Expiration"]["Days"]) == ("lensa/async/", 7)
    broken = rules["lensa: broken uploads in lensa/"]
    assert broken["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert "Expiration" not in broken
    assert all(rule["Status"] == "Enabled" for rule in rules.values())


CHECKPOINTS = "lensa: checkpoints in lensa/checkpoints/"


def encryption() -> dict[str, Any]:
    answer = s3().get_bucket_encryption(Bucket="avatars")
    rule: dict[str, Any] = answer["ServerSideEncryptionConfiguration"]["Rules"][0]
    return rule


def test_a_bucket_with_a_key_of_yours_encrypts_with_it(gate: Gate) -> None:
    key = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    bucket = Bucket(Account(), "avatars", kms_key=key)
    bucket.create()
    bucket.check()
    default = encryption()["ApplyServerSideEncryptionByDefault"]
    assert default == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    assert encryption()["BucketKeyEnabled"] is True


@pytest.mark.parametrize(
    ("region", "partition"),
    [("us-east-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_a_bucket_is_made_in_any_partition(gate: Gate, region: str, partition: str) -> None:
    bucket = Bucket(Account(region=region), "elsewhere")
    bucket.create()
    bucket.check()
    assert boto3.client("s3").head_bucket(Bucket="elsewhere")["BucketRegion"] == region
    arn = f"arn:{partition}:s3:::elsewhere"
    assert statements("elsewhere")[0]["Resource"] == [arn, f"{arn}/*"]


def test_making_it_again_changes_nothing_but_what_is_asked(bucket: Bucket) -> None:
    bucket.create()
    before = (statements(), encryption(), lifecycle())
    bucket.create()
    assert (statements(), encryption(), lifecycle()) == before
    bucket.create(photo_days=7)
    assert lifecycle()["lensa: photos in lensa/photos/"]["Expiration"]["Days"] == 7
    assert len(lifecycle()) == 4


def test_what_else_a_bucket_has_stays(bucket: Bucket) -> None:
    client = s3()
    client.create_bucket(
        Bucket="avatars", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    mine = {**TLS_ONLY, "Sid": "Mine", "Action": "s3:DeleteBucket"}
    client.put_bucket_policy(
        Bucket="avatars", Policy=json.dumps({"Version": "2012-10-17", "Statement": [mine]})
    )
    rule = {
        "ID": "mine",
        "Status": "Enabled",
        "Filter": {"Prefix": "x/"},
        "Expiration": {"Days": 3},
    }
    client.put_bucket_lifecycle_configuration(
        Bucket="avatars", LifecycleConfiguration={"Rules": [rule]}
    )
    bucket.create()
    Bucket(bucket.account, "avatars", prefix="other").create()
    assert statements() == [mine, TLS_ONLY]
    assert lifecycle()["mine"]["Expiration"]["Days"] == 3
    assert len(lifecycle()) == 1 + 4 + 4


def test_half_made_it_is_private_and_the_next_call_completes_it(bucket: Bucket, gate: Gate) -> None:
    def rule(request: Request) -> Answer | None:
        refuse = request.method == "PUT" and "policy" in request.query
        return s3_error(403, "AccessDenied", "Access Denied") if refuse else None

    gate.rules.append(rule)
    with pytest.raises(AccountError, match=r"setting the policy of.*for s3:PutBucketPolicy"):
        bucket.create()
    blocked = s3().get_public_access_block(Bucket="avatars")["PublicAccessBlockConfiguration"]
    assert all(blocked.values())
    gate.rules.clear()
    bucket.create()
    assert statements() == [TLS_ONLY] and len(lifecycle()) == 4


def test_public_access_is_blocked_before_anything_else(bucket: Bucket, gate: Gate) -> None:
    bucket.create()
    puts = [r for r in gate.requests if r.method == "PUT"]
    assert [list(r.query) for r in puts[:2]] == [[], ["publicAccessBlock"]]


def test_a_name_that_another_account_has_is_refused(bucket: Bucket, gate: Gate) -> None:
    gate.rules.append(owned_by("999999999999", "avatars"))
    with pytest.raises(AccountError, match=r"'avatars' belongs to another account.*another name"):
        bucket.create()


def test_the_default_name_says_whose_and_where(gate: Gate) -> None:
    account = Account()
    assert default_name(account) == f"lensa-{OWNER}-eu-west-1"


def test_keys_lie_below_the_prefix(gate: Gate) -> None:
    account = Account()
    assert Bucket(account, "b").uri("photos/x.png") == "s3://b/lensa/photos/x.png"
    assert Bucket(account, "b", prefix="team/a/").key("x") == "team/a/x"
    assert Bucket(account, "b", prefix="").key("x") == "x"


# --- checking ---


def test_a_good_bucket_passes_and_every_call_names_its_owner(bucket: Bucket, gate: Gate) -> None:
    bucket.create()
    gate.requests.clear()
    bucket.check()
    asked = [request for request in gate.requests if request.path.startswith("/avatars")]
    assert asked
    assert {request.headers.get("x-amz-expected-bucket-owner") for request in asked} == {OWNER}


def test_a_missing_bucket_says_how_to_create_it(bucket: Bucket) -> None:
    with pytest.raises(AccountError, match=r"there is no bucket 'avatars'.*create-bucket"):
        bucket.check()


def test_a_bucket_in_another_region_says_which(gate: Gate) -> None:
    Bucket(Account(region="us-west-2"), "avatars").create()
    with pytest.raises(AccountError, match=r"'avatars' is in us-west-2.*--region us-west-2"):
        Bucket(Account(), "avatars").check()


def test_a_bucket_of_somebody_elses_is_refused(bucket: Bucket, gate: Gate) -> None:
    gate.rules.append(owned_by("999999999999", "avatars"))
    with pytest.raises(AccountError, match=r"'avatars' belongs to another account, not to 1234"):
        bucket.check()


def test_a_bucket_that_one_may_not_list_says_which_permission(bucket: Bucket, gate: Gate) -> None:
    bucket.create()
    user = f"arn:aws:iam::{OWNER}:user/ada"
    gate.rules.append(
        lambda request: (
            s3_error(
                403,
                "AccessDenied",
                f"User: {user} is not authorized to perform: s3:ListBucket on resource: "
                '"arn:aws:s3:::avatars" because no identity-based policy allows it',
            )
            if request.path.startswith("/avatars")
            else None
        )
    )
    with pytest.raises(AccountError, match=r"ada may not do s3:ListBucket on arn:aws:s3:::avatars"):
        bucket.check()


@pytest.mark.parametrize("region", ["eu-west-1", "us-west-2"])
def test_who_may_list_no_more_than_the_prefix_passes(
    bucket: Bucket, gate: Gate, region: str
) -> None:
    """The region is told all the same."""
    bucket.create()

    def rule(request: Request) -> Answer | None:
        if not request.path.startswith("/avatars") or request.query.get("prefix") == "lensa/":
            return None
        return Answer(403, DENIED, {"x-amz-bucket-region": region})

    gate.rules.append(rule)
    if region == "eu-west-1":
        bucket.check()
    else:
        with pytest.raises(AccountError, match="is in us-west-2"):
            bucket.check()


DENIED = s3_error(403, "AccessDenied", "Access Denied").body


def test_expired_credentials_are_told_from_a_bad_request(bucket: Bucket, gate: Gate) -> None:
    """The answer to HEAD has no body; what is wrong has to be asked for."""
    bucket.create()
    gate.rules.append(
        lambda request: s3_error(400, "ExpiredToken", "The provided token has expired.")
    )
    with pytest.raises(AccountError, match=r"looking up the bucket avatars.*have expired"):
        bucket.check()


# --- keys ---


def test_a_disabled_key_is_refused(gate: Gate) -> None:
    kms = boto3.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.disable_key(KeyId=key)
    bucket = Bucket(Account(), "avatars", kms_key=key)
    with pytest.raises(AccountError, match=r"is disabled. Enable it: aws kms enable-key"):
        bucket.create()
    assert s3().list_buckets()["Buckets"] == []


def test_a_key_about_to_be_deleted_is_refused(gate: Gate) -> None:
    kms = boto3.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    Bucket(Account(), "avatars", kms_key=key).create()
    kms.schedule_key_deletion(KeyId=key)
    with pytest.raises(AccountError, match=r"about to be deleted.*cancel-key-deletion"):
        Bucket(Account(), "avatars", kms_key=key).check()


@pytest.mark.parametrize(
    "key", ["00000000-0000-0000-0000-000000000000", "alias/nothing", "arn-of-nothing"]
)
def test_an_unknown_key_is_refused(gate: Gate, key: str) -> None:
    with pytest.raises(AccountError, match=r"looking up the KMS key .* failed: \w"):
        Bucket(Account(), "avatars", kms_key=key).create()


def test_a_key_of_another_region_is_refused_without_asking(gate: Gate) -> None:
    key = f"arn:aws:kms:us-east-1:{OWNER}:key/1234"
    with pytest.raises(AccountError, match="is in us-east-1, and lensa works in eu-west-1"):
        Bucket(Account(), "avatars", kms_key=key).create()
    assert not gate.requests


def test_a_key_that_signs_is_refused(gate: Gate) -> None:
    made = boto3.client("kms").create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
    with pytest.raises(AccountError, match="is a RSA_2048 key; S3 needs a symmetric one"):
        Bucket(Account(), "avatars", kms_key=made["KeyMetadata"]["KeyId"]).create()


def test_a_key_that_may_be_used_but_not_described_passes(gate: Gate) -> None:
    gate.rules.append(
        lambda request: (
            json_error(400, "AccessDeniedException", "not for you")
            if "/kms/" in request.headers.get("authorization", "")
            else None
        )
    )
    bucket = Bucket(Account(), "avatars", kms_key=f"arn:aws:kms:eu-west-1:{OWNER}:key/1234")
    bucket.create()
    bucket.check()
