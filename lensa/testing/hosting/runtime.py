"""SageMaker's runtime: requests to endpoints, at once or through the bucket."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import timedelta

from lensa.testing.account import ACCOUNT
from lensa.testing.answers import Answer, AwsError
from lensa.testing.hosting.backlog import Waiting
from lensa.testing.hosting.calling import ask, model_error, unread
from lensa.testing.hosting.endpoint import TwinEndpoint
from lensa.testing.hosting.endpoints import EndpointApi
from lensa.testing.operations import Call
from lensa.testing.sites import Site

MOST = 6_291_456  # bytes of a request, and of an answer
_SECONDS = 15 * 60  # real ones, for an answer to a request that waited
_TO_LIVE = 6 * 3600  # seconds of the clock that a request may wait


class RuntimeApi:
    """InvokeEndpoint and InvokeEndpointAsync."""

    def __init__(self, endpoints: EndpointApi, site: Site, patience: Callable[[], float]) -> None:
        """`patience`: real seconds that an answer may take."""
        self._endpoints, self._site, self._patience = endpoints, site, patience

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
        reply = ask(endpoint, call.parameters, body, self._site, self._patience())
        if not 200 <= reply.status < 300:
            raise model_error(endpoint, reply)
        if len(reply.body) > MOST:
            raise unread(endpoint, reply)
        headers = {
            "Content-Type": reply.headers.get("content-type", "application/octet-stream"),
            "x-Amzn-Invoked-Production-Variant": endpoint.variant["VariantName"],
        }
        if attributes := reply.headers.get("x-amzn-sagemaker-custom-attributes"):
            headers["X-Amzn-SageMaker-Custom-Attributes"] = attributes
        return Answer(200, reply.body, headers)

    def invoke_later(self, call: Call) -> Answer:
        """Put a request into the queue of an asynchronous endpoint."""
        asked = call.parameters
        endpoint = self.serving(call)
        if not endpoint.asynchronous:
            raise AwsError(
                "ValidationError",
                f"Endpoint {endpoint.name} of account {ACCOUNT} is not asynchronous: its "
                "configuration has no AsyncInferenceConfig.",
            )
        body = asked.get("Body", b"")
        if bool(body) == bool(asked.get("InputLocation")):
            raise AwsError("ValidationError", "Specify one of InputLocation and Body.")
        output = endpoint.config.request["AsyncInferenceConfig"]["OutputConfig"]
        name = str(uuid.uuid4())
        ended = asked.get("Filename", f"{name}.out")
        below = "/".join(filter(None, (asked.get("S3OutputPathExtension", "").strip("/"), ended)))
        answer = f"{output['S3OutputPath'].rstrip('/')}/{below}"
        failures = output.get("S3FailurePath", "")
        failure = f"{failures.rstrip('/')}/{name}-error.out" if failures else ""
        waiting = Waiting(
            asked=asked,
            body=body,
            answer=answer,
            failure=failure,
            kms_key=output.get("KmsKeyId", ""),
            seconds=float(asked.get("InvocationTimeoutSeconds", _SECONDS)),
            until=self._site.clock.now()
            + timedelta(seconds=float(asked.get("RequestTTLSeconds", _TO_LIVE))),
        )
        self._endpoints.backlog(endpoint).put(waiting)
        told = {"InferenceId": asked.get("InferenceId", str(uuid.uuid4()))}
        headers = {"X-Amzn-SageMaker-OutputLocation": answer, "Content-Type": "application/json"}
        if failure:
            headers["X-Amzn-SageMaker-FailureLocation"] = failure
        return Answer(202, json.dumps(told).encode(), headers)

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
