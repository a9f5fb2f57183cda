"""SageMaker's runtime: requests to endpoints, and what it says of answers that are none."""

from __future__ import annotations

from typing import Any

from lensa.testing.account import ACCOUNT
from lensa.testing.answers import Answer, AwsError
from lensa.testing.hosting.endpoint import TwinEndpoint
from lensa.testing.hosting.endpoints import EndpointApi
from lensa.testing.hosting.serving import NoAnswer, Reply
from lensa.testing.operations import Call
from lensa.testing.sites import Site

MOST = 6_291_456  # bytes of a request, and of an answer
PATIENCE = 60.0  # real seconds for an answer

_BUSY = Reply(
    503,
    b'{"code": 503, "type": "ServiceUnavailableException", '
    b'"message": "No worker is available to serve request: model"}',
    {"content-type": "application/json"},
)


class RuntimeApi:
    """InvokeEndpoint."""

    def __init__(self, endpoints: EndpointApi, site: Site) -> None:
        self._endpoints, self._site = endpoints, site
        self.patience = PATIENCE

    def invoke(self, call: Call) -> Answer:
        body = call.parameters["Body"]
        if len(body) > MOST:
            message = f"HTTP content length exceeded {MOST} bytes."
            raise AwsError("413", message, 413)
        endpoint = self.serving(call)
        if endpoint.asynchronous:
            raise AwsError(
                "ValidationError",
                f"Endpoint {endpoint.name} of account {ACCOUNT} is asynchronous: "
                "use InvokeEndpointAsync.",
            )
        reply = ask(endpoint, call.parameters, body, self._site, self.patience)
        if not 200 <= reply.status < 300:
            raise model_error(endpoint, reply)
        if len(reply.body) > MOST:
            raise _unread(endpoint, reply)
        headers = {
            "Content-Type": reply.headers.get("content-type", "application/octet-stream"),
            "x-Amzn-Invoked-Production-Variant": endpoint.variant["VariantName"],
        }
        if attributes := reply.headers.get("x-amzn-sagemaker-custom-attributes"):
            headers["X-Amzn-SageMaker-Custom-Attributes"] = attributes
        return Answer(200, reply.body, headers)

    def serving(self, call: Call) -> TwinEndpoint:
        """Return the endpoint that a request is for, if it serves."""
        name = call.parameters["EndpointName"]
        found = [
            one for one in self._endpoints.all() if (one.name, one.region) == (name, call.region)
        ]
        if not found or found[0].status not in {"InService", "Updating"}:
            raise AwsError("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
        [endpoint] = found
        variant = call.parameters.get("TargetVariant", endpoint.variant["VariantName"])
        if variant != endpoint.variant["VariantName"]:
            raise AwsError("ValidationError", f"Variant {variant} of endpoint {name} not found.")
        if call.parameters.get("TargetModel"):
            raise AwsError("ValidationError", f"Endpoint {name} is not a multi-model endpoint.")
        return endpoint


def ask(
    endpoint: TwinEndpoint, asked: dict[str, Any], body: bytes, site: Site, seconds: float
) -> Reply:
    """Hand a request to the container. Raises AwsError if it does not answer."""
    if site.faults.take("busy", endpoint.name):
        return _BUSY
    container = endpoint.container
    if container is None:
        raise AwsError("ServiceUnavailable", "The service is unavailable. Try your call again.")
    members = {
        "ContentType": "Content-Type",
        "Accept": "Accept",
        "CustomAttributes": "X-Amzn-SageMaker-Custom-Attributes",
        "InferenceId": "X-Amzn-SageMaker-Inference-Id",
    }
    headers = {header: asked[name] for name, header in members.items() if name in asked}
    try:
        return container.invoke(body, headers, seconds)
    except NoAnswer as problem:
        raise model_error(endpoint, Reply(0, str(problem).encode(), {})) from None


def model_error(endpoint: TwinEndpoint, reply: Reply) -> AwsError:
    """Word an answer that is not a success as SageMaker does."""
    said = reply.body.decode(errors="replace")
    side = "client" if 400 <= reply.status < 500 else "server"
    return _error(
        endpoint,
        reply,
        f'Received {side} error ({reply.status}) from primary with message "{said}"',
    )


def _unread(endpoint: TwinEndpoint, reply: Reply) -> AwsError:
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
            "OriginalMessage": reply.body.decode(errors="replace"),
            "LogStreamArn": f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{endpoint.group}",
        },
    )
