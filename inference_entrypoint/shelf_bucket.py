"""The S3 side of a shelf: small files read, large ones downloaded, and what S3 refuses in words."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from inference_entrypoint.statuses import Busy
from lensa.contract.environment import AVATARS
from lensa.errors import ArtifactError, LensaError

_ADDRESS = re.compile(r"s3://([a-z0-9][a-z0-9.-]+)/(.+?)/?")
_CHUNK = 1 << 20  # bytes
# Beside every 5xx; several of them are 400. The credentials of a role are renewed by themselves.
_PASSING = {
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestLimitExceeded",
    "RequestTimeTooSkewed",
    "RequestTimeout",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}


class ShelfError(LensaError):
    """What was added to the endpoint cannot be read: something about the account has to change."""


class ShelfBusy(Busy):
    """S3 does not answer, or asks for patience."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the avatars that were added to this endpoint cannot be read just now ({why}): "
            "ask again in some seconds.",
            retry_after=5,
        )


class Missing(Exception):
    """There is no such object."""


class Unchanged(Exception):
    """The object is still the one that is known."""


@dataclass(frozen=True)
class Bucket:
    """A prefix of a bucket, read with the role of the container."""

    name: str
    prefix: str
    region: str | None = None

    @classmethod
    def at(cls, address: str, environ: Mapping[str, str] = os.environ) -> Bucket:
        """Return what an s3://bucket/prefix names. Raises LensaError if it names nothing."""
        match = _ADDRESS.fullmatch(address)
        if match is None:
            raise LensaError(f"{AVATARS} is {address[:200]!r}, not s3://bucket/prefix.")
        # boto3 itself reads no AWS_REGION, which is what SageMaker sets.
        return cls(match[1], match[2], environ.get("AWS_REGION"))

    def read(self, path: str, most: int, known: str | None = None) -> tuple[bytes, str]:
        """Return a small object and its ETag.

        Raises Missing, Unchanged if its ETag is still `known`, ArtifactError if it has more than
        `most` bytes, ShelfError, ShelfBusy.
        """
        with self._explained(path):
            answer = self._get(path, **({"IfNoneMatch": known} if known else {}))
            content: bytes = answer["Body"].read(most + 1)
        if len(content) > most:
            raise ArtifactError(f"{self._address(path)} has more than {most:,} bytes.")
        return content, answer["ETag"]

    def download(self, path: str, target: Path, size: int) -> None:
        """Write an object of so many bytes to a file. Raises as `read` does."""
        with self._explained(path):
            answer = self._get(path)
            if answer["ContentLength"] != size:
                raise ArtifactError(
                    f"{self._address(path)} has {answer['ContentLength']} bytes instead of "
                    f"{size}: it was cut off or replaced. Add the avatar to the endpoint again."
                )
            with target.open("wb") as file:
                for chunk in answer["Body"].iter_chunks(_CHUNK):
                    file.write(chunk)

    def _get(self, path: str, **options: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._client.get_object(
            Bucket=self.name, Key=f"{self.prefix}/{path}", **options
        )
        return answer

    @cached_property
    def _client(self) -> Any:
        import boto3  # late: who has no shelf does without
        from botocore.config import Config

        # Whoever waits for an image waits for this, too.
        patience = Config(
            connect_timeout=2,
            read_timeout=8,
            retries={"total_max_attempts": 2, "mode": "standard"},
        )
        return boto3.client("s3", region_name=self.region, config=patience)

    @contextmanager
    def _explained(self, path: str) -> Iterator[None]:
        try:
            from botocore.exceptions import (
                BotoCoreError,
                ClientError,
                NoCredentialsError,
                PartialCredentialsError,
            )
        except ImportError:
            raise ShelfError(
                "this image has no boto3, and so cannot fetch avatars: use one that has it."
            ) from None
        try:
            yield
        except ClientError as error:
            raise self._in_words(error, path) from None
        except (NoCredentialsError, PartialCredentialsError):
            raise ShelfError(
                "this endpoint has no credentials to fetch avatars with: give its model an "
                "execution role, and no network isolation; an isolated endpoint has a fixed set."
            ) from None
        except BotoCoreError as error:  # the place where credentials are had is down, too
            raise ShelfBusy(type(error).__name__) from None

    def _in_words(self, error: Any, path: str) -> Exception:
        told = error.response.get("Error", {})
        code, message = str(told.get("Code", "")), str(told.get("Message", ""))[:300].rstrip(".")
        if _status(error) == 304:
            return Unchanged(path)
        if code in {"NoSuchKey", "404"}:
            return Missing(path)
        if _status(error) >= 500 or code in _PASSING:
            return ShelfBusy(code)
        where = self._address(path)
        if _status(error) == 403:
            return ShelfError(
                f"the endpoint's role may not read {where} ({code}: {message}). Allow it "
                "s3:GetObject there, s3:ListBucket on the bucket (without it S3 refuses what is "
                "not there, too), and kms:Decrypt if the bucket has a key of its own."
            )
        return ShelfError(f"{where} cannot be read ({code}: {message}).")

    def _address(self, path: str) -> str:
        return f"s3://{self.name}/{self.prefix}/{path}"


def _status(error: Any) -> int:
    status: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status
