"""The bucket that photos, checkpoints and avatars lie in: made, checked, and spoken to."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lensa.backends.sagemaker import bucket_rules as rules
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.kms import check_key
from lensa.backends.sagemaker.refusals import error_code, explained
from lensa.errors import AccountError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError


def default_name(account: Account) -> str:
    """Return the bucket that lensa makes for an account and region."""
    return f"lensa-{account.id}-{account.region}"


@dataclass(frozen=True)
class Bucket:
    """A bucket of the account's, and the prefix in it below which all of lensa's keys lie."""

    account: Account
    name: str
    prefix: str = "lensa"
    kms_key: str | None = None  # id, ARN or alias; None: S3's own key

    def key(self, key: str) -> str:
        """Return the whole key of one that is relative to the prefix."""
        prefix = self.prefix.strip("/")
        return f"{prefix}/{key}" if prefix else key

    def uri(self, key: str) -> str:
        return f"s3://{self.name}/{self.key(key)}"

    def encryption(self) -> dict[str, str]:
        """The arguments of every call that begins an object."""
        if self.kms_key is None:
            return {"ServerSideEncryption": "AES256"}
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key}

    def client(self) -> Any:
        """Return the client of S3. Every call it makes to this bucket names the owner it expects:
        a bucket of somebody else's by that name gets no photo."""
        client, name, owner = self.account.client("s3"), self.name, self.account.id

        def name_the_owner(params: dict[str, Any], model: Any, **_: Any) -> None:
            takes_one = "ExpectedBucketOwner" in getattr(model.input_shape, "members", {})
            if takes_one and params.get("Bucket") == name:
                params["ExpectedBucketOwner"] = owner

        client.meta.events.register(
            "before-parameter-build.s3", name_the_owner, unique_id=f"lensa-owner-of-{name}"
        )
        return client

    # --- checking ---

    def check(self) -> None:
        """Raise AccountError unless the bucket is there, the account's own, in its region, and
        writes to it would be encrypted with a key that works."""
        from botocore.exceptions import ClientError

        client = self.client()
        with explained(f"looking up the bucket {self.name}"):
            try:
                answer = client.head_bucket(Bucket=self.name)
            except ClientError as error:
                answer = error.response
                self._ask_why(client, error)
        headers = answer["ResponseMetadata"]["HTTPHeaders"]  # there even if it is refused
        region = headers.get("x-amz-bucket-region", self.account.region)
        if region != self.account.region:
            raise AccountError(self._elsewhere(region))
        if self.kms_key is not None:
            check_key(self.account, self.kms_key)

    def _ask_why(self, client: Any, error: ClientError) -> None:
        """Raise what is behind a refusal of HEAD, whose answer has no body; return if the bucket
        lets us in below the prefix, which is enough."""
        code = error_code(error)
        if code == "404":
            raise AccountError(
                f"there is no bucket {self.name!r}. Name one of yours, or let lensa create it "
                "(--create-bucket)."
            ) from None
        if code not in {"400", "403"}:
            raise error
        if code == "403" and self._is_listed(client) is False:
            raise AccountError(self._not_ours()) from None
        client.list_objects_v2(Bucket=self.name, Prefix=self.key(""), MaxKeys=1)

    def _is_listed(self, client: Any) -> bool | None:
        """Whether the bucket is one of the account's; None if it may not be asked."""
        from botocore.exceptions import ClientError

        try:
            return any(one["Name"] == self.name for one in client.list_buckets()["Buckets"])
        except ClientError:
            return None

    def _not_ours(self) -> str:
        return (
            f"the bucket {self.name!r} belongs to another account, not to {self.account.id}. "
            "Nothing was sent there. Name a bucket of your own, or choose another name."
        )

    def _elsewhere(self, region: str) -> str:
        return (
            f"the bucket {self.name!r} is in {region}, and lensa works in {self.account.region}. "
            f"SageMaker reads only from buckets of its own region: use --region {region}, or "
            "another bucket."
        )

    def notes(self) -> list[str]:
        """Return what is worth knowing of a bucket that lensa may not have made. What we may not
        ask is passed over."""
        photos, notes = self.key("photos/"), []
        with suppress(AccountError), explained(f"looking at the bucket {self.name}"):
            if not any(rules.expires(rule, photos) for rule in self._rules(self.client())):
                notes.append(
                    f"no lifecycle rule of {self.name} expires {photos}: the photos stay until "
                    "they are deleted."
                )
        with suppress(AccountError), explained(f"looking at the bucket {self.name}"):
            present = _or_none(
                lambda: self.client().get_public_access_block(Bucket=self.name),
                "NoSuchPublicAccessBlockConfiguration",
            )
            if present is None or present["PublicAccessBlockConfiguration"] != rules.PRIVATE:
                notes.append(f"{self.name} does not itself block public access.")
        return notes

    # --- creating ---

    def create(self, *, photo_days: int = 30) -> None:
        """Make the bucket, or bring one of the account's own up to what `create` would make.

        Private, TLS only, encrypted, without ACLs; photos go after `photo_days`, checkpoints after
        30. What else a bucket has of policies and lifecycle rules stays, and one that holds things
        and was not made here is refused (AccountError). Broken off, it is private all the same, and
        the next call completes it.
        """
        if self.kms_key is not None:
            check_key(self.account, self.kms_key)
        client = self.client()
        with explained(f"creating the bucket {self.name}"):
            self._make(client)
            self._check_ours(client)
        steps: list[tuple[str, Callable[[Any], None]]] = [
            ("closing {} to the public", self._block_public_access),  # first: what is there is shut
            ("turning off ACLs on {}", self._own_every_object),
            ("setting the encryption of {}", self._encrypt),
            ("setting the policy of {}", self._require_tls),
            ("setting the lifecycle of {}", lambda c: self._expire(c, photo_days)),
        ]
        for doing, step in steps:
            with explained(doing.format(f"the bucket {self.name}")):
                step(client)

    def _make(self, client: Any) -> None:
        region = self.account.region
        options: dict[str, Any] = {"ObjectOwnership": "BucketOwnerEnforced"}
        if region != "us-east-1":  # which knows no such constraint
            options["CreateBucketConfiguration"] = {"LocationConstraint": region}
        try:
            client.create_bucket(Bucket=self.name, **options)
        except client.exceptions.BucketAlreadyExists:
            raise AccountError(self._not_ours()) from None
        except client.exceptions.BucketAlreadyOwnedByYou:
            there = client.head_bucket(Bucket=self.name).get("BucketRegion", region)
            if there != region:
                raise AccountError(self._elsewhere(there)) from None

    def _check_ours(self, client: Any) -> None:
        """Raise AccountError for a bucket that holds other things: its settings are not ours to
        change."""
        if any(str(rule.get("ID", "")).startswith(rules.MARK) for rule in self._rules(client)):
            return
        if client.list_objects_v2(Bucket=self.name, MaxKeys=1).get("KeyCount"):
            raise AccountError(
                f"the bucket {self.name!r} is there already, and lensa did not make it. It can be "
                "used as it is, without --create-bucket; or name one that is not there yet."
            )

    def _block_public_access(self, client: Any) -> None:
        client.put_public_access_block(
            Bucket=self.name, PublicAccessBlockConfiguration=rules.PRIVATE
        )

    def _own_every_object(self, client: Any) -> None:
        client.put_bucket_ownership_controls(
            Bucket=self.name,
            OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        )

    def _encrypt(self, client: Any) -> None:
        if self.kms_key is None:
            present = _or_none(
                lambda: client.get_bucket_encryption(Bucket=self.name),
                "ServerSideEncryptionConfigurationNotFoundError",
            )
            if present is not None:
                return  # every bucket has one since 2023; a KMS key of the user's is not taken away
        client.put_bucket_encryption(
            Bucket=self.name,
            ServerSideEncryptionConfiguration=rules.encryption(self.kms_key),
        )

    def _require_tls(self, client: Any) -> None:
        present = _or_none(lambda: client.get_bucket_policy(Bucket=self.name), "NoSuchBucketPolicy")
        before = json.loads(present["Policy"]) if present else None
        after = rules.policy(before, self.account.partition, self.name)
        if after != before:
            client.put_bucket_policy(Bucket=self.name, Policy=json.dumps(after))

    def _expire(self, client: Any, photo_days: int) -> None:
        present = self._lifecycle(client)
        before = present["Rules"] if present else []
        settings = {"Rules": rules.lifecycle(before, self.key, photo_days)}
        smallest = "TransitionDefaultMinimumObjectSize"  # of other rules; not given, it is reset
        kept = {smallest: present[smallest]} if present and smallest in present else {}
        client.put_bucket_lifecycle_configuration(
            Bucket=self.name, LifecycleConfiguration=settings, **kept
        )

    def _lifecycle(self, client: Any) -> dict[str, Any] | None:
        return _or_none(
            lambda: client.get_bucket_lifecycle_configuration(Bucket=self.name),
            "NoSuchLifecycleConfiguration",
        )

    def _rules(self, client: Any) -> list[dict[str, Any]]:
        present = self._lifecycle(client)
        rules: list[dict[str, Any]] = present["Rules"] if present else []
        return rules


def _or_none(call: Callable[[], dict[str, Any]], absent: str) -> dict[str, Any] | None:
    from botocore.exceptions import ClientError

    try:
        return call()
    except ClientError as error:
        if error_code(error) == absent:
            return None
        raise
