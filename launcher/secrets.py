"""Secrets, named in the container's environment by ARN and read here with its role.

What they hold goes into environment variables of this process, and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any

from launcher.say import SetupError
from lensa.contract.environment import SECRETS


def read_secrets(environ: MutableMapping[str, str]) -> None:
    """Set every variable that $LENSA_SECRETS names. Raises SetupError, never with a value in it."""
    text = environ.get(SECRETS)
    if not text:
        return
    try:
        wanted = json.loads(text)
        if not isinstance(wanted, dict):
            raise ValueError
    except ValueError:
        raise SetupError(
            f'{SECRETS} is not a JSON object such as {{"WANDB_API_KEY": "arn:aws:secretsmanager:'
            '..."}.'
        ) from None
    for name, arn in wanted.items():
        environ[name] = _value(name, _read(name, str(arn)))


def _read(name: str, arn: str) -> str:
    parts = arn.split(":")
    if len(parts) < 7 or parts[0] != "arn" or parts[2] != "secretsmanager":
        raise SetupError(
            # It may be the secret itself, by mistake: it is not shown.
            f"secret for {name}: what is given is not the ARN of a Secrets Manager secret "
            "(arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME)."
        )
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise SetupError(
            f"secret for {name} cannot be read: this image has no boto3. Use one that has it, "
            "such as AWS's own."
        ) from None
    patience = Config(
        connect_timeout=10, read_timeout=20, retries={"max_attempts": 4, "mode": "standard"}
    )
    try:
        client = boto3.client("secretsmanager", region_name=parts[3], config=patience)
        answer: dict[str, Any] = client.get_secret_value(SecretId=arn)
    except ClientError as error:
        raise SetupError(_refused(name, arn, error.response["Error"])) from None
    except BotoCoreError as error:
        raise SetupError(
            f"secret for {name}: Secrets Manager in {parts[3]} cannot be reached "
            f"({type(error).__name__}). In a VPC without internet add an endpoint for "
            "secretsmanager; with network isolation no secret can be read: leave it out."
        ) from None
    value = answer.get("SecretString")
    if not isinstance(value, str):
        raise SetupError(f"secret for {name}: {arn} holds bytes. Store the value as text.")
    return value


def _refused(name: str, arn: str, error: dict[str, str]) -> str:
    code, message = error.get("Code", ""), error.get("Message", "")
    # A denial comes under several codes, depending on who denies.
    if code.startswith("AccessDenied") or "not authorized to perform" in message:
        return (
            f"secret for {name}: the container's role may not read {arn}. Allow it "
            "secretsmanager:GetSecretValue on that secret, and kms:Decrypt on its key if it has "
            "one of your own."
        )
    if code == "ResourceNotFoundException":
        return (
            f"secret for {name}: there is no secret {arn}, or it has no value yet. "
            "Check the ARN, or create the secret."
        )
    if code == "DecryptionFailure":
        return (
            f"secret for {name}: the KMS key of {arn} cannot decrypt it. Enable the key, and allow "
            "the container's role kms:Decrypt on it."
        )
    if code == "InvalidRequestException":
        return f"secret for {name}: {arn} is being deleted. Restore it, or name another one."
    return f"secret for {name}: {arn} cannot be read ({code}: {message[:300]})."


def _value(name: str, text: str) -> str:
    """A secret is the value itself, or a JSON object with a key of the variable's name."""
    try:
        parsed = json.loads(text)
    except ValueError:
        return text
    if not isinstance(parsed, dict):
        return text
    value = parsed.get(name)
    if not isinstance(value, str):
        raise SetupError(
            f"secret for {name}: it is a JSON object without a text under {name!r}. "
            f"Give it that key, or store the value alone."
        )
    return value
