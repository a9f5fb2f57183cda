"""What S3 refuses and moto does not: other accounts' buckets, and keys that cannot be used."""

from __future__ import annotations

from lensa.testing.account import ACCOUNT
from lensa.testing.answers import AwsError
from lensa.testing.faults import Faults
from lensa.testing.operations import Call


def check_owners(call: Call, faults: Faults) -> None:
    """Compare the owners of a request's buckets with those that it expects."""
    from moto.s3.models import s3_backends

    asked = call.parameters
    source = str(asked.get("CopySource", "")).lstrip("/").partition("/")[0]
    expected = (
        (asked.get("Bucket", ""), asked.get("ExpectedBucketOwner")),
        (source, asked.get("ExpectedSourceBucketOwner")),
    )
    for bucket, account in expected:
        known = s3_backends.bucket_accounts.get(bucket)
        owner = faults.owner(bucket, known[1] if known else None)
        if account is not None and owner is not None and owner != account:
            raise AwsError("AccessDenied", "Access Denied", 403)
        if call.operation == "CreateBucket" and owner not in {None, ACCOUNT}:
            raise AwsError(
                "BucketAlreadyExists",
                "The requested bucket name is not available. The bucket namespace is shared by "
                "all users of the system. Please select a different name and try again.",
            )


def check_key(call: Call) -> None:
    """Refuse to encrypt with a KMS key that is disabled or not there."""
    from moto.kms.models import kms_backends

    name = call.parameters.get("SSEKMSKeyId")
    if not name:
        return
    backend = kms_backends[ACCOUNT][call.region]
    key = backend.keys.get(backend.any_id_to_key_id(name))
    if key is None:
        raise AwsError("KMS.NotFoundException", f"Key '{name}' does not exist")
    if not key.enabled:
        raise AwsError("KMS.DisabledException", f"{key.arn} is disabled.")
