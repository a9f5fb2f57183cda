"""Where an endpoint's log is: in words, and in the console."""

from __future__ import annotations

from urllib.parse import quote

from lensa.backends.sagemaker.account import Account

GROUP = "/aws/sagemaker/Endpoints"

_CONSOLES = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}


def log_place(account: Account, endpoint: str, arn: str = "") -> str:
    """Return the sentence that names an endpoint's log group, with a link.

    `arn` is the LogStreamArn of a ModelError; it may name the stream, or the group alone.
    """
    parts = arn.split(":")
    group = parts[6] if len(parts) > 6 else f"{GROUP}/{endpoint}"
    stream = parts[8] if len(parts) > 8 and parts[7] == "log-stream" else ""
    console = _CONSOLES.get(account.partition, "console.aws.amazon.com")
    link = (
        f"https://{account.region}.{console}/cloudwatch/home?region={account.region}"
        f"#logsV2:log-groups/log-group/{_in_console(group)}"
    )
    if stream:
        link += f"/log-events/{_in_console(stream)}"
    return f"Its log: {group}{f' {stream}' if stream else ''} ({link})"


def _in_console(name: str) -> str:
    """The console quotes twice, with a dollar for the second percent sign."""
    return quote(quote(name, safe=""), safe="").replace("%", "$")
