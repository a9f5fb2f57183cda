"""What AWS refuses, by its codes, and what each means in words. Data only.

A text goes on from "<what was tried> failed: ". In it `{message}` is AWS's own sentence, `{code}`
its code, `{region}` the region that it names.
"""

from __future__ import annotations

from dataclasses import dataclass

from lensa.backends.sagemaker.patience import THROTTLED
from lensa.errors import AccountError, LensaError, ServiceError


@dataclass(frozen=True)
class Refusal:
    kind: type[LensaError]
    text: str


_SIGN_IN = "Sign in again (aws sso login, or however you get credentials) and repeat the command."
_KEYS = (
    "Give lensa credentials: aws configure, aws sso login, --profile NAME, or AWS_ACCESS_KEY_ID "
    "and AWS_SECRET_ACCESS_KEY"
)
_KEY_POLICY = "Use another key, or none (S3 then encrypts with its own)."
_AGAIN = "Nothing is wrong on your side; repeat the command in a while."

# What botocore raises itself, by the name of the class or of one that it is derived from.
RAISED: dict[str, Refusal] = {
    "NoCredentialsError": Refusal(AccountError, f"there are no AWS credentials. {_KEYS}."),
    "PartialCredentialsError": Refusal(
        AccountError, f"the AWS credentials are incomplete: {{message}}. {_KEYS}."
    ),
    "CredentialRetrievalError": Refusal(
        AccountError,
        "there are no AWS credentials: {message}. Mend your AWS configuration.",
    ),
    "ProfileNotFound": Refusal(
        AccountError, "{message}. The profiles you have: aws configure list-profiles."
    ),
    "ConfigParseError": Refusal(AccountError, "your AWS configuration cannot be read: {message}."),
    "ConfigNotFound": Refusal(AccountError, "your AWS configuration cannot be read: {message}."),
    "TokenRetrievalError": Refusal(AccountError, f"your AWS sign-in has expired. {_SIGN_IN}"),
    "SSOError": Refusal(AccountError, f"your AWS sign-in has expired. {_SIGN_IN}"),
    "LoginError": Refusal(AccountError, f"your AWS sign-in has expired. {_SIGN_IN}"),
    "MissingDependencyException": Refusal(
        AccountError,
        "your way of signing in to AWS needs a package more: {message} "
        "(pip install 'botocore[crt]').",
    ),
    "NoRegionError": Refusal(
        AccountError, "no AWS region is configured. Name one: --region, or LENSA_REGION."
    ),
    "InvalidRegionError": Refusal(
        AccountError, "{message}. Regions look like eu-west-1: --region, or LENSA_REGION."
    ),
    "EndpointConnectionError": Refusal(
        ServiceError,
        "{message}. Check the network (proxy, VPN), and that the region has this service.",
    ),
    "SSLError": Refusal(
        ServiceError,
        "{message}. A proxy that opens TLS needs its certificate in AWS_CA_BUNDLE.",
    ),
    "ProxyConnectionError": Refusal(ServiceError, "{message}. Check HTTPS_PROXY."),
    "ConnectTimeoutError": Refusal(
        ServiceError,
        "AWS did not answer: {message}. Check the network, and try again.",
    ),
    "ReadTimeoutError": Refusal(
        ServiceError, "AWS did not answer: {message}. Check the network, and try again."
    ),
    "ConnectionError": Refusal(ServiceError, "{message}. Check the network, and try again."),
    "HTTPClientError": Refusal(ServiceError, "{message}. Check the network, and try again."),
    "IncompleteReadError": Refusal(ServiceError, "the answer was cut off: {message}. Try again."),
    "FlexibleChecksumError": Refusal(
        ServiceError, "what arrived was damaged on the way: {message}. Try again."
    ),
    "ParamValidationError": Refusal(AccountError, "AWS would not take the request: {message}"),
    "BotoCoreError": Refusal(AccountError, "{message}."),
}


def _rows(codes: str, kind: type[LensaError], text: str) -> dict[str, Refusal]:
    return dict.fromkeys(codes.split(), Refusal(kind, text))


# What a service answers. Codes of HTTP itself (403) are all that there is to an answer to HEAD.
ANSWERED: dict[str, Refusal] = {
    **_rows(
        "ExpiredToken ExpiredTokenException RequestExpired TokenRefreshRequired",
        AccountError,
        f"your AWS credentials have expired. {_SIGN_IN}",
    ),
    **_rows(
        "RequestTimeTooSkewed",
        AccountError,
        "this machine's clock is wrong, and AWS takes no such requests. Set the clock.",
    ),
    **_rows(
        "InvalidClientTokenId InvalidAccessKeyId UnrecognizedClientException UnrecognizedClient "
        "InvalidToken AuthFailure NotSignedUp OptInRequired",
        AccountError,
        "AWS does not know these credentials, or not in this region. They may be deleted, of "
        f"another partition, or lack their session token. {_KEYS}.",
    ),
    # AWS's message is withheld: it can quote the request, session token and all.
    **_rows(
        "SignatureDoesNotMatch InvalidSignatureException IncompleteSignature "
        "IncompleteSignatureException",
        AccountError,
        "the secret access key does not belong to the access key, or this machine's clock is "
        f"wrong. {_KEYS}, and check the clock.",
    ),
    **_rows(
        "NoSuchBucket",
        AccountError,
        "there is no such bucket. Name another one, or let lensa create it (--create-bucket).",
    ),
    **_rows(
        "BucketAlreadyExists",
        AccountError,
        "a bucket of that name belongs to another account (names are unique in the world). Choose "
        "another name.",
    ),
    **_rows("InvalidBucketName", AccountError, "{message} Choose another name for the bucket."),
    **_rows(
        "TooManyBuckets",
        AccountError,
        "the account has as many buckets as it may. Name one that is there, or ask for more: "
        "https://console.aws.amazon.com/servicequotas/home/services/s3/quotas",
    ),
    **_rows(
        "PermanentRedirect 301 IllegalLocationConstraintException AuthorizationHeaderMalformed",
        AccountError,
        "the bucket is in {region}. SageMaker reads only from buckets of its own region: work "
        "there (--region), or name a bucket of yours.",
    ),
    **_rows(
        "403 401",
        AccountError,
        "access denied, without a reason given. The bucket is another account's, or your "
        "permissions lack {action} on it.",
    ),
    **_rows(
        "OperationAborted ConditionalRequestConflict ConcurrentUpdateException ConflictException "
        "ConcurrentModification ConcurrentModificationException",
        ServiceError,
        "another request is changing the same thing right now. Repeat the command in a minute.",
    ),
    **_rows(
        "KMS.DisabledException DisabledException KMS.Disabled",
        AccountError,
        f"the KMS key is disabled ({{message}}). Enable it (aws kms enable-key). {_KEY_POLICY}",
    ),
    **_rows(
        "KMS.KMSInvalidStateException KMSInvalidStateException KMS.InvalidStateException "
        "KMS.KMSInvalidStateFault",
        AccountError,
        "the KMS key cannot be used as it is, pending deletion perhaps ({message}). End that (aws "
        f"kms cancel-key-deletion, then enable-key). {_KEY_POLICY}",
    ),
    **_rows(
        "KMS.NotFoundException KMS.NotFound",
        AccountError,
        "there is no such KMS key in this account and region ({message}). The key has to be in the "
        f"bucket's region; another account's is named by its whole ARN. {_KEY_POLICY}",
    ),
    **_rows(
        "KMS.KMSInvalidKeyUsageException KMSInvalidKeyUsageException "
        "KMS.KeyUnavailableException KeyUnavailableException KMS.InvalidKeyUsageException",
        AccountError,
        f"the KMS key cannot encrypt objects ({{message}}). {_KEY_POLICY}",
    ),
    **_rows(
        "KMS.AccessDeniedException KMS.AccessDenied",
        AccountError,
        "the KMS key is not for you to use ({message}). You need kms:GenerateDataKey and "
        f"kms:Decrypt on it, in your permissions and in the key's policy. {_KEY_POLICY}",
    ),
    **_rows(
        " ".join(sorted(THROTTLED)),
        ServiceError,
        f"AWS is throttling this account's requests, and went on for minutes. {_AGAIN}",
    ),
    **_rows(
        "CapacityError InsufficientCapacity InsufficientCapacityException "
        "InsufficientInstanceCapacity InsufficientInstanceCapacityException",
        ServiceError,
        "AWS has no machine of this type free right now ({message}). Try again later, or take "
        "another instance type or region.",
    ),
    **_rows(
        "InternalError InternalFailure InternalServerError InternalServerException "
        "InternalServiceError InternalServiceException ServiceUnavailable "
        "ServiceUnavailableException ServiceFailure RequestTimeout 500 502 503 504",
        ServiceError,
        f"AWS has a fault of its own ({{code}}: {{message}}). {_AGAIN}",
    ),
    # AWS's own sentence is the best there is.
    **_rows("ValidationException ValidationError", AccountError, "{message}"),
}

QUOTA = frozenset({"ResourceLimitExceeded", "ServiceQuotaExceededException", "QuotaExceeded"})

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Forbidden"})

# The permission that a call of S3 needs, where it is not s3:<call>. S3 does not always name it.
S3_ACTIONS = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "CompleteMultipartUpload": "s3:PutObject",
    "CreateBucket": "s3:CreateBucket",
    "CreateMultipartUpload": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject (and s3:DeleteObjectVersion)",
    "GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "GetBucketPolicy": "s3:GetBucketPolicy",
    "GetBucketVersioning": "s3:GetBucketVersioning",
    "GetObject": "s3:GetObject",
    "HeadBucket": "s3:ListBucket",
    "HeadObject": "s3:GetObject (and s3:ListBucket)",
    "ListBuckets": "s3:ListAllMyBuckets",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListObjectsV2": "s3:ListBucket",
    "PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "PutBucketOwnershipControls": "s3:PutBucketOwnershipControls",
    "PutBucketPolicy": "s3:PutBucketPolicy",
    "PutObject": "s3:PutObject",
    "PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "UploadPart": "s3:PutObject",
}
