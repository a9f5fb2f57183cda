"""What AWS refuses, in words: one error that says what failed, why, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lensa.backends.sagemaker.refusal_table import (
    ANSWERED,
    DENIED,
    QUOTA,
    RAISED,
    S3_ACTIONS,
    Refusal,
)
from lensa.errors import AccountError, LensaError

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

_SECRET = re.compile(
    r"(?P<name>x-amz-security-token|x-amz-signature|x-amz-credential|signature|credential)"
    r"(?P<sign>\s*[:=]\s*)[^\s&,]+"
    r"|(?P<key>\b(?:AKIA|ASIA)[A-Z0-9]{12,})"
    r"|(?P<blob>Encoded authorization failure message: \S+)",
    re.IGNORECASE,
)
_NOT_AUTHORIZED = re.compile(
    r"(?:User: (?P<who>\S+) is )?not authorized to perform: (?P<action>[\w*-]+:[\w*-]+)"
    r"(?: on resource: \"?(?P<resource>[^\s\"]+)\"?)?(?P<why> (?:because|with) .*)?",
    re.DOTALL,
)
_LIMIT = re.compile(r"service limit '(?P<quota>[^']+)' is (?P<value>\d+)")
_WRONG_CLOCK = re.compile(r"Signature (?:expired|not yet current)")


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn what AWS refuses into one AccountError or ServiceError.

    `doing` is what was tried: "starting the training job". The message stands alone and carries no
    secret; AWS's own error is its cause.
    """
    try:
        yield
    except LensaError:
        raise
    except Exception as error:
        told = _explain(error, doing)
        if told is None:
            raise
        # A cause is shown with its own text: not if that quotes a secret.
        raise told from (None if _SECRET.search(str(error)) else error)


def error_code(error: BaseException | None) -> str:
    """Return the code of an error that AWS answered, such as "AccessDenied"; "" of any other."""
    answer = getattr(error, "response", None)
    return str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, dict) else ""


def used_up(error: BaseException) -> bool:
    """Whether an error of `explained` says that a quota is used up which is more than nothing: what
    holds it now gives it back."""
    answered = error.__cause__
    if error_code(answered) not in QUOTA:
        return False
    found = _LIMIT.search(str(answered))
    return found is None or int(found["value"]) > 0


def _explain(error: Exception, doing: str) -> LensaError | None:
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, ClientError):
        kind, text = _answered(error)
    elif isinstance(error, BotoCoreError):
        kind, text = _raised(error)
    else:
        return None
    return kind(f"{doing} failed: {text}")


def _raised(error: BotoCoreError) -> tuple[type[LensaError], str]:
    for ancestor in type(error).__mro__:
        if (refusal := RAISED.get(ancestor.__name__)) is not None:
            return refusal.kind, refusal.text.format(message=cleaned(str(error)).rstrip("."))
    raise error  # not reached: the table has BotoCoreError itself


def _answered(error: ClientError) -> tuple[type[LensaError], str]:
    code = error_code(error)
    message = cleaned(str(error.response.get("Error", {}).get("Message") or "no reason given"))
    if code in QUOTA:
        return AccountError, _quota(message)
    denied = _NOT_AUTHORIZED.search(message)
    if denied or code in DENIED:
        return AccountError, _denied(error, denied, message)
    if _WRONG_CLOCK.search(message):
        code = "RequestTimeTooSkewed"
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    refusal = ANSWERED.get(code)
    if code == "NotFoundException" and ":kms:" in message:
        refusal = ANSWERED["KMS.NotFoundException"]
    if refusal is None and status >= 500:
        refusal = ANSWERED["InternalError"]
    if refusal is None:
        refusal = Refusal(AccountError, "AWS says: {message} ({code}).")
    return refusal.kind, refusal.text.format(
        message=message if refusal.text == "{message}" else message.rstrip("."),
        code=code,
        region=_region(error),
        action=_action(error),
    )


def _denied(error: ClientError, found: re.Match[str] | None, message: str) -> str:
    if found is None:
        reason = "" if message.lower() in {"access denied", "forbidden"} else f" ({message})"
        return (
            f"access denied{reason}. Your permissions lack {_action(error)}, or what it is about "
            "belongs to another account. Ask whoever administers the account for "
            f"{_action(error)}."
        )
    action, resource = found["action"], (found["resource"] or "").rstrip(".,")
    who = found["who"] or "you"
    may_not = f"{who} may not do {action}" + (f" on {resource}" if resource else "")
    reason = (found["why"] or "").strip().rstrip(".")
    text = f"{may_not}{f' ({reason})' if reason else ''}. "
    if action == "iam:PassRole":
        return text + (
            f"To run a job as the role {resource.rpartition('/')[2] or '(unnamed)'}, you need "
            "iam:PassRole on it, to sagemaker.amazonaws.com (and to scheduler.amazonaws.com, if it "
            "is to end an endpoint): ask whoever administers the account for that, or name a role "
            "that you may pass (--role, or LENSA_ROLE)."
        )
    if action.startswith("kms:"):
        return text + (
            f"The KMS key is not for you to use: ask for {action}, in your permissions and in the "
            "key's policy, or use another key, or none (S3 then encrypts with its own)."
        )
    return text + f"Ask whoever administers the account for {action}."


def _quota(message: str) -> str:
    found = _LIMIT.search(message)
    if found is None:
        return (
            f"a quota of the account is reached: {message.rstrip('.')}. Ask for more: "
            "https://console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas"
        )
    quota, value = found["quota"], int(found["value"])
    new = " (new accounts often have 0)" if value == 0 else ""
    return (
        f"the account's quota {quota!r} is {value}{new}, and this would exceed it. Ask for more, "
        "in the region you use: "
        "https://console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas, or\n"
        "  aws service-quotas request-service-quota-increase --service-code sagemaker "
        "--desired-value "
        f"{value + 1} --quota-code $(aws service-quotas list-service-quotas --service-code "
        f"sagemaker --output text --query \"Quotas[?QuotaName=='{quota}'].QuotaCode\")\n"
        "Until it is granted, another instance type may have a quota."
    )


def _action(error: ClientError) -> str:
    call = str(error.operation_name)
    return S3_ACTIONS.get(call, call)


def _region(error: ClientError) -> str:
    answer: dict[str, Any] = error.response
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region") or answer.get("Error", {}).get("Region")
    return str(region or "another region")


def cleaned(message: str) -> str:
    """Return AWS's sentence without what could be a secret."""

    def hide(found: re.Match[str]) -> str:
        if found["name"]:
            return f"{found['name']}{found['sign']}(hidden)"
        return f"{found['key'][:4]}..." if found["key"] else "(details withheld)"

    return _SECRET.sub(hide, message).strip()
