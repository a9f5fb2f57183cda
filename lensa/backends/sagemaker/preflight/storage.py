"""The bucket: there, ours, in our region, with a key that encrypts."""

from __future__ import annotations

from lensa.backends.findings import Check, Finding, failed, ok
from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.preflight.needs import Need
from lensa.backends.sagemaker.preflight.question import page, question
from lensa.backends.sagemaker.refusals import error_code, explained
from lensa.errors import LensaError, ServiceError

NAME, RULES = "bucket", "bucket's rules"


def check_bucket(bucket: Bucket, need: Need) -> Check:
    """What may not be listed is of no use to us: here a denial is a failure."""
    mend = f"Your buckets: {page(bucket.account, 's3/buckets?region={region}')}"

    def find() -> Finding:
        if need.create_bucket and not _there(bucket):
            return ok(NAME, f"{bucket.name} is not there yet, and will be made")
        try:
            bucket.check()
        except ServiceError:
            raise
        except LensaError as error:
            return failed(NAME, str(error), mend, type(error))
        key = f", encrypted with {bucket.kms_key}" if bucket.kms_key else ""
        return ok(NAME, f"{bucket.uri('')} is yours and in {bucket.account.region}{key}")

    return question(NAME, find, permission="the permission s3:ListBucket", mend=mend)


def check_rules(bucket: Bucket) -> Check:
    """What is worth knowing of a bucket that lensa did not make; none of it stops anything."""

    def find() -> Finding:
        return ok(RULES, " ".join(bucket.notes()) or "photos expire, the public is kept out")

    return question(RULES, find, permission="s3:GetLifecycleConfiguration")


def _there(bucket: Bucket) -> bool:
    from botocore.exceptions import ClientError

    with explained(f"looking up the bucket {bucket.name}"):
        try:
            bucket.client().head_bucket(Bucket=bucket.name)
        except ClientError as error:
            if error_code(error) == "404":
                return False
    return True
