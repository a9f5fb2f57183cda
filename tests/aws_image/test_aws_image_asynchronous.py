"""AWS's image behind an asynchronous endpoint: requests and answers may be longer there."""

from __future__ import annotations

from pathlib import Path

from serving_image import ServingImage

from lensa.backends.sagemaker.hosting.options import DeployOptions
from lensa.backends.sagemaker.hosting.request import Inputs, environment

LONG = 7_000_000  # bytes; the server's own limit is 6,553,500, and to break it costs the worker

HANDLERS = """
def model_fn(model_dir, context):
    return None

def input_fn(body, content_type, context):
    return body

def predict_fn(body, model, context):
    return body

def output_fn(body, accept, context):
    return body
"""


def test_the_environment_of_an_asynchronous_endpoint_lifts_the_servers_limits(
    tmp_path: Path,
) -> None:
    code = tmp_path / "model" / "code"
    code.mkdir(parents=True)
    (code / "inference.py").write_text(HANDLERS)
    inputs = Inputs("lensa-x", "model", None, "image", "role", uri=lambda key: f"s3://b/{key}")
    told = environment(inputs, DeployOptions(asynchronous=True))
    limits = {name: value for name, value in told.items() if name.startswith("MMS_")}
    with ServingImage(tmp_path, **limits) as image:
        image.listening()
        body = "x" * LONG
        answer = image.client.post(
            "/invocations", content=body, headers={"Content-Type": "text/plain"}
        )
    assert answer.status_code == 200
    assert len(answer.content) == LONG
