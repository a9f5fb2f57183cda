"""How AWS is asked: what it answers becomes a finding, whatever that is."""

from __future__ import annotations

from collections.abc import Callable

from lensa.backends.findings import Check, Finding, failed, unknown
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.refusal_table import DENIED
from lensa.backends.sagemaker.refusals import error_code, explained
from lensa.errors import LensaError, ServiceError

_HOSTS = {
    "aws-cn": "{region}.console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}


def question(
    name: str,
    run: Callable[[], Finding],
    *,
    permission: str,
    mend: str = "",
    doing: str | None = None,
) -> Check:
    """Return a check that asks AWS.

    Who may not ask, for want of `permission`, is told that it is unknown; so is who gets no answer.
    Everything else that AWS refuses is a failure, mended by `mend`.
    """

    def ask() -> Finding:
        try:
            with explained(doing or f"looking at the {name}"):
                try:
                    return run()
                except Exception as error:
                    if _denied(error):
                        return unknown(name, f"it may not be asked: that takes {permission}")
                    raise
        except ServiceError as error:
            return unknown(name, str(error))
        except LensaError as error:
            return failed(name, str(error), mend, type(error))

    return Check(name, ask)


def _denied(error: BaseException) -> bool:
    return error_code(error) in DENIED or error_code(error.__cause__) in DENIED


def page(account: Account, path: str) -> str:
    """Return a page of the console, in the account's region."""
    host = _HOSTS.get(account.partition, "{region}.console.aws.amazon.com")
    return f"https://{host.format(region=account.region)}/{path.format(region=account.region)}"
