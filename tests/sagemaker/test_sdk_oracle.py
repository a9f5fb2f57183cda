"""AWS's own SDK as a judge: it reads our job back, knows the same images, and asks the twin.

It lives in an environment of its own (half a gigabyte), made from `lensa[sagemaker]` for this test;
LENSA_SDK_PYTHON names one that is there already.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TINY
from twin.twinendpoints import make

import lensa
from lensa.backends.sagemaker.images import ACCOUNTS, training_image
from lensa.client import Client
from lensa.testing import SagemakerTwin

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PYTHON = os.environ.get("LENSA_SDK_PYTHON")
ROOT = Path(lensa.__file__).resolve().parent.parent

IMAGES = """
import json, sys
from sagemaker.core import image_uris
print(json.dumps({
    region: image_uris.retrieve(
        framework="huggingface", region=region, version="5.3.0",
        base_framework_version="pytorch2.9.0", py_version="py312", instance_type="ml.g5.2xlarge",
        image_scope="training", container_version="cu130-ubuntu22.04",
    )
    for region in sys.argv[1:]
}))
"""
READ_BACK = """
import json, sys
import lensa
job = lensa.attach(sys.argv[1], backend="sagemaker").sdk()
print(json.dumps({
    "type": f"{type(job).__module__}.{type(job).__name__}",
    "name": job.training_job_name,
    "status": job.training_job_status,
    "entrypoint": job.algorithm_specification.container_entrypoint,
    "channels": sorted(channel.channel_name for channel in job.input_data_config),
    "instance_type": job.resource_config.instance_type,
    "checkpoints": job.checkpoint_config.s3_uri,
}))
"""

ASK = """
import json
from botocore.exceptions import ClientError
from sagemaker.core.resources import Endpoint
endpoint = Endpoint.get("here")
asked = {"content_type": "application/json", "accept": "application/json"}
answer = endpoint.invoke(body=b"{}", **asked)
try:
    endpoint.invoke(body=b'{"raise": "no such prompt"}', **asked)
except ClientError as error:
    refused = error.response
print(json.dumps({
    "status": endpoint.endpoint_status,
    "variants": [
        [one.variant_name, one.current_instance_count] for one in endpoint.production_variants
    ],
    "said": json.loads(answer.body.read())["said"],
    "variant": answer.invoked_production_variant,
    "refused": [refused["OriginalStatusCode"], json.loads(refused["OriginalMessage"])["message"]],
    "log": refused["LogStreamArn"].partition("log-group:")[2],
}))
endpoint.delete()
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    if PYTHON:
        return PYTHON
    folder = tmp_path_factory.mktemp("sdk")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    made = str(folder / "bin" / "python")
    install = [made, "-m", "pip", "install", "--quiet", f"{ROOT}[sagemaker]"]
    subprocess.run(install, check=True)
    return made


def ask(python: str, script: str, *arguments: str) -> dict[str, object]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.run(
        [python, "-c", script, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    answer: dict[str, object] = json.loads(child.stdout.splitlines()[-1])
    return answer


def test_the_table_of_images_is_the_sdks_in_every_region(python: str) -> None:
    assert ask(python, IMAGES, *ACCOUNTS) == {region: training_image(region) for region in ACCOUNTS}


def test_the_sdk_reads_our_job_back(
    python: str, sagemaker_twin: SagemakerTwin, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("ROLE", sagemaker_twin.role), ("BUCKET", sagemaker_twin.bucket)):
        monkeypatch.setenv(f"LENSA_{name}", value)
    sagemaker_twin.faults.slow_start(3600)
    job = Client(backend="sagemaker").train(photos, subject="ada", wait=False, **TINY)
    answer = ask(python, READ_BACK, job.name)
    assert answer == {
        "type": "sagemaker.core.resources.TrainingJob",
        "name": job.name,
        "status": "InProgress",
        "entrypoint": ["python3", "/opt/ml/input/data/code/lensa.pyz"],
        "channels": ["code", "config", "photos"],
        "instance_type": "ml.g5.2xlarge",
        "checkpoints": f"s3://{sagemaker_twin.bucket}/lensa/checkpoints/{job.name}",
    }


def test_the_sdk_asks_an_endpoint_of_the_twin(python: str, sagemaker_twin: SagemakerTwin) -> None:
    make(sagemaker_twin)
    endpoint = sagemaker_twin.endpoints["here"].wait()
    assert ask(python, ASK) == {
        "status": "InService",
        "variants": [["AllTraffic", 1]],
        "said": "hello",
        "variant": "AllTraffic",
        "refused": [400, "no such prompt"],
        "log": "/aws/sagemaker/Endpoints/here",
    }
    assert endpoint.gone.wait(10)
