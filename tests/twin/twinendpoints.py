"""Small endpoints for the twin: handlers of the standard library, a tenth of a second each."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from lensa.testing import SagemakerTwin

AWS_IMAGE = (
    "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-inference:"
    "2.6.0-transformers5.5.3-gpu-py312-cu124-ubuntu22.04"
)
OWN_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/lensa-serving:1"

# Handlers that do what the request says.
HANDLERS = """
import json, os, pathlib, socket, time

print("loading", flush=True)


def model_fn(model_dir, context):
    return pathlib.Path(model_dir)


def input_fn(body, content_type, context):
    return json.loads(body)


def predict_fn(asked, model, context):
    if "raise" in asked:
        raise ValueError(asked["raise"])
    if "exit" in asked:
        os._exit(3)
    time.sleep(asked.get("sleep", 0))
    if "gate" in asked:
        print("at the gate", flush=True)
        while not os.path.exists(asked["gate"]):
            time.sleep(0.01)
    if "write" in asked:
        (model / asked["write"]).write_text("x")
    if "long" in asked:
        return "x" * asked["long"]
    return {
        "said": (model / "said.txt").read_text(),
        "reached": reached(asked.get("reach")),
        "environment": dict(os.environ),
        "headers": context.get_all_request_header(0),
        "files": sorted(str(p.relative_to(model.parent)) for p in model.parent.rglob("*.txt")),
        "status": asked.get("status", 200),
    }


def reached(port):
    try:
        socket.create_connection(("127.0.0.1", port or 0), 5).close()
    except OSError:
        return False
    return True


def output_fn(answer, accept, context):
    if isinstance(answer, str):
        return answer
    context.set_response_status(answer["status"], "As you say")
    context.set_response_header(0, "Content-Type", "application/json")
    print("answered", flush=True)
    return json.dumps(answer)
"""

# A bundle's program: `python3 lensa.pyz serve`, as an image of one's own starts it.
SERVER = """
import http.server, os, sys

assert sys.argv[1:] == ["serve"]


class Requests(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body[::-1])


port = int(os.environ["SAGEMAKER_BIND_TO_PORT"])
http.server.HTTPServer(("127.0.0.1", port), Requests).serve_forever()
"""


def put(twin: SagemakerTwin, key: str, content: str | bytes) -> None:
    body = content.encode() if isinstance(content, str) else content
    twin.client("s3").put_object(Bucket=twin.bucket, Key=key, Body=body)


def upload_model(twin: SagemakerTwin, folder: str, said: str, handlers: str = HANDLERS) -> str:
    """Put a model folder for AWS's image into the bucket, and return its prefix."""
    put(twin, f"{folder}/said.txt", said)
    put(twin, f"{folder}/code/inference.py", handlers)
    return f"s3://{twin.bucket}/{folder}/"


def bundle() -> bytes:
    """Return a zip like lensa.pyz with a small server in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("__main__.py", SERVER)
    return file.getvalue()


def prefix(uri: str) -> dict[str, Any]:
    return {"S3DataSource": {"S3Uri": uri, "S3DataType": "S3Prefix", "CompressionType": "None"}}


def model(twin: SagemakerTwin, name: str, uri: str, **changes: Any) -> dict[str, Any]:
    """Return the parameters of CreateModel; `changes` are those of its container."""
    container = {"Image": AWS_IMAGE, "ModelDataSource": prefix(uri), **changes}
    return {"ModelName": name, "ExecutionRoleArn": twin.role, "PrimaryContainer": container}


def config(name: str, model_name: str, **changes: Any) -> dict[str, Any]:
    """Return the parameters of CreateEndpointConfig; `changes` are those of its variant."""
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": model_name,
        "InstanceType": "ml.g5.xlarge",
        "InitialInstanceCount": 1,
        **changes,
    }
    return {"EndpointConfigName": name, "ProductionVariants": [variant]}


def make(
    twin: SagemakerTwin,
    name: str = "here",
    *,
    said: str = "hello",
    handlers: str = HANDLERS,
    tags: list[dict[str, str]] | None = None,
    asynchronous: dict[str, Any] | None = None,
    isolated: bool = False,
    variant: dict[str, Any] | None = None,
    **container: Any,
) -> None:
    """Ask for model, configuration and endpoint, all of one name."""
    sagemaker = twin.client("sagemaker")
    uri = upload_model(twin, f"models/{name}", said, handlers)
    made = model(twin, name, uri, **container)
    sagemaker.create_model(**made, EnableNetworkIsolation=isolated)
    more = {"AsyncInferenceConfig": asynchronous} if asynchronous else {}
    sagemaker.create_endpoint_config(**config(name, name, **(variant or {})), **more)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=tags or [])


def at(twin: SagemakerTwin, seconds: float) -> str:
    return f"at({twin.clock.now() + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S})"


def entry(twin: SagemakerTwin, seconds: float, **target: Any) -> dict[str, Any]:
    """Return the parameters of CreateSchedule for an endpoint's end."""
    return {
        "Name": "here",
        "ScheduleExpression": at(twin, seconds),
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "DELETE",
        "Target": {
            "Arn": "arn:aws:scheduler:::aws-sdk:sagemaker:deleteEndpoint",
            "RoleArn": twin.role,
            "Input": json.dumps({"EndpointName": "here"}),
            **target,
        },
    }


def role(twin: SagemakerTwin, name: str, service: str, *allowed: str) -> str:
    iam = twin.client("iam")
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    made = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    if allowed:
        may = {"Effect": "Allow", "Action": list(allowed), "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
        iam.put_role_policy(RoleName=name, PolicyName="may", PolicyDocument=policy)
    return str(made["Role"]["Arn"])


def ask(twin: SagemakerTwin, name: str = "here", **fields: Any) -> dict[str, Any]:
    """Ask an endpoint, and return what its handlers answered."""
    answer = twin.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=name, Body=json.dumps(fields).encode(), ContentType="application/json"
    )
    told: dict[str, Any] = json.loads(answer["Body"].read())
    return told


def until(look: Callable[[], Any]) -> Any:
    """Look until there is something to see, and return it."""
    for _ in range(1000):
        if found := look():
            return found
        time.sleep(0.01)
    raise AssertionError("it never came")


def describe(twin: SagemakerTwin, name: str = "here") -> dict[str, Any]:
    told: dict[str, Any] = twin.client("sagemaker").describe_endpoint(EndpointName=name)
    return told
