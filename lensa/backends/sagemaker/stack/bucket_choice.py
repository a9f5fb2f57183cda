"""Which bucket the stack is about: one that it makes, or one that is there and stays as it is."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.bucket import Bucket, default_name
from lensa.backends.sagemaker.refusals import error_code, explained
from lensa.backends.sagemaker.stack.options import SetupOptions
from lensa.backends.sagemaker.stack.state import Stack
from lensa.errors import AccountError


@dataclass(frozen=True)
class BucketChoice:
    """The template's parameters that follow, and what is worth saying before it is confirmed."""

    parameters: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def choose(account: Account, options: SetupOptions, stack: Stack | None) -> BucketChoice:
    """Return what to do about the bucket.

    Raises AccountError for a bucket of another account's or region's.
    """
    present = stack.parameters.get("BucketName") if stack is not None else None
    name = options.bucket or present or default_name(account)
    if name == present:
        return BucketChoice()
    bucket = Bucket(account, name)
    if not _is_there(bucket):
        return BucketChoice({"BucketName": name, "CreateBucket": "yes"})
    bucket.check()
    notes = [f"The bucket {name} is there already. It is used, and its settings stay as they are."]
    notes += [f"Note: {note}" for note in bucket.notes()]
    parameters = {"BucketName": name, "CreateBucket": "no"}
    key = _key_of(bucket) if options.key is None and options.key_arn is None else None
    if key is not None:
        parameters |= {"UseKey": "no", "KeyArn": key}
        notes.append(f"It is encrypted with {key}: the roles may use that key, too.")
    return BucketChoice(parameters, notes)


def _is_there(bucket: Bucket) -> bool:
    from botocore.exceptions import ClientError

    client = bucket.client()
    with explained(f"looking up the bucket {bucket.name}"):
        try:
            client.head_bucket(Bucket=bucket.name)
        except ClientError as error:
            return error_code(error) != "404"  # it is there if it only may not be seen
    return True


def _key_of(bucket: Bucket) -> str | None:
    """Return the ARN of the customer's key that a bucket is encrypted with, if it can be told."""
    with suppress(AccountError), explained(f"looking at the bucket {bucket.name}"):
        answer = bucket.client().get_bucket_encryption(Bucket=bucket.name)
        (rule, *_) = answer["ServerSideEncryptionConfiguration"]["Rules"]
        key = rule["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID")
        if key:
            found = bucket.account.client("kms").describe_key(KeyId=key)["KeyMetadata"]
            return str(found["Arn"]) if found.get("KeyManager") == "CUSTOMER" else None
    return None
