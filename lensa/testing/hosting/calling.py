"""A request at a container, and what SageMaker says of an answer that is none."""

from __future__ import annotations

from typing import Any

from lensa.testing.account import ACCOUNT
from lensa.testing.answers import AwsError
from lensa.testing.hosting.endpoint import TwinEndpoint
from lensa.testing.hosting.serving import NoAnswer, Reply
from lensa.testing.sites import Site

_PASSED_ON = 2048  # characters of what a container says that SageMaker passes on

_BUSY = Reply(
    503,
    b'{"code": 503, "type": "ServiceUnavailableException", '
    b'"message": "No worker is available to serve request: model"}',
    {"content-type": "application/json"},
)


def ask(
    endpoint: TwinEndpoint, asked: dict[str, Any], body: bytes, site: Site, seconds: float
) -> Reply:
    """Hand a request to the container. Raises AwsError if it does not answer."""
    if site.faults.take("busy", endpoint.name):
        return _BUSY
    members = {
        "ContentType": "Content-Type",
        "Accept": "Accept",
        "CustomAttributes": "X-Amzn-SageMaker-Custom-Attributes",
        "InferenceId": "X-Amzn-SageMaker-Inference-Id",
    }
    headers = {header: asked[name] for name, header in members.items() if name in asked}
    with endpoint.asking() as container:
        if container is None:
            text = "The service is unavailable. Try your call again."
            raise AwsError("ServiceUnavailable", text)
        try:
            return container.invoke(body, headers, seconds)
        except NoAnswer as problem:
            raise model_error(endpoint, Reply(0, str(problem).encode(), {})) from None


def model_error(endpoint: TwinEndpoint, reply: Reply) -> AwsError:
    """Word an answer that is not a success as SageMaker does."""
    said = _said(reply)
    side = "client" if 400 <= reply.status < 500 else "server"
    return _error(
        endpoint,
        reply,
        f'Received {side} error ({reply.status}) from primary with message "{said}"',
    )


def unread(endpoint: TwinEndpoint, reply: Reply) -> AwsError:
    """Word an answer that is too long to be passed on."""
    text = f"Received server error ({reply.status}) from primary"
    return _error(
        endpoint,
        Reply(reply.status, b"", {}),
        f"{text} and could not load the entire response body",
    )


def _error(endpoint: TwinEndpoint, reply: Reply, text: str) -> AwsError:
    region = endpoint.region
    console = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
    return AwsError(
        "ModelError",
        f"{text}. See {console}#logEventViewer:group={endpoint.group} in account {ACCOUNT} for "
        "more information.",
        424,
        {
            "OriginalStatusCode": reply.status,
            "OriginalMessage": _said(reply),
            "LogStreamArn": f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{endpoint.group}",
        },
    )


def _said(reply: Reply) -> str:
    return reply.body.decode(errors="replace")[:_PASSED_ON]
