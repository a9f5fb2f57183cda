"""AWS's image behind an asynchronous endpoint, where nothing has to fit into 6 MB."""

from __future__ import annotations

from pathlib import Path

import pytest
from serving_image import ServingImage, lay_out

LONG = """
def model_fn(model_dir, context):
    return None


def input_fn(body, content_type, context):
    return len(body)


def predict_fn(length, model, context):
    return length


def output_fn(length, accept, context):
    return str(length) + "x" * 50_000_000
"""


@pytest.mark.slow
def test_an_asynchronous_endpoint_has_long_requests_and_answers_by_variables_of_the_server(
    tmp_path: Path,
) -> None:
    code = lay_out(tmp_path / "model")
    (code / "inference.py").write_text(LONG)
    raised = {"MMS_MAX_RESPONSE_SIZE": "1000000000", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "10"}
    with ServingImage(tmp_path, **raised) as image:
        image.listening()
        answer = image.client.post("/invocations", content=b" " * 8_100_000)
        assert answer.status_code == 200
        assert answer.text == "8100000" + "x" * 50_000_000
