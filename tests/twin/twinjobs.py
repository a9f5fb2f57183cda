"""Small jobs for the twin: a script of the standard library, a tenth of a second each."""

from __future__ import annotations

import json
from typing import Any, Protocol

from lensa.testing import SagemakerTwin


class Account(Protocol):
    bucket: str
    role: str

    def client(self, service: str) -> Any: ...


SCRIPT = """
import json, os, signal, sys, time
from pathlib import Path

root = Path(os.environ["SAGEMAKER_BASE_DIR"])
steps, pause = int(sys.argv[1]), float(sys.argv[2])
state = root / "checkpoints" / "step.txt"
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
first = int(state.read_text()) if state.exists() else 0
print("from", first, flush=True)
for step in range(first + 1, steps + 1):
    event = {"event": "progress", "step": step, "of": steps, "loss": 1 / step}
    print(json.dumps(event), flush=True)
    partial = state.with_suffix(".part")
    partial.write_text(str(step))
    partial.replace(state)
    time.sleep(pause)
    if stopped:
        break
(root / "model" / "weights.txt").write_text(state.read_text())
(root / "output" / "data" / "facts.json").write_text(json.dumps({
    "environment": dict(os.environ), "pid": os.getpid(), "arguments": sys.argv[1:],
    "files": sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()),
}))
print("stopped" if stopped else "done", flush=True)
"""


def upload_code(twin: Account, script: str = SCRIPT) -> str:
    """Put a script where jobs find it, and return its prefix."""
    twin.client("s3").put_object(Bucket=twin.bucket, Key="code/train.py", Body=script.encode())
    return f"s3://{twin.bucket}/code/"


def channel(name: str, uri: str, kind: str = "S3Prefix") -> dict[str, Any]:
    source = {"S3DataType": kind, "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "InputMode": "File", "DataSource": {"S3DataSource": source}}


def request(
    twin: Account,
    name: str = "job",
    *,
    steps: int = 3,
    pause: float = 0.0,
    spot: bool = False,
    script: str = SCRIPT,
    **changes: Any,
) -> dict[str, Any]:
    """Return the parameters of a job that counts steps; a stop ends it after the next one."""
    limits = {"MaxRuntimeInSeconds": 3600}
    asked: dict[str, Any] = {
        "TrainingJobName": name,
        "RoleArn": twin.role,
        "AlgorithmSpecification": {
            "TrainingImage": "763104351884.dkr.ecr.us-east-1.amazonaws.com/train:1",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "/opt/ml/input/data/code/train.py"],
            "ContainerArguments": [str(steps), str(pause)],
            "MetricDefinitions": [{"Name": "loss", "Regex": '"loss": ([0-9.]+)'}],
        },
        "InputDataConfig": [channel("code", upload_code(twin, script))],
        "OutputDataConfig": {
            "S3OutputPath": f"s3://{twin.bucket}/avatars",
            "CompressionType": "NONE",
        },
        "ResourceConfig": {
            "InstanceType": "ml.g5.2xlarge",
            "InstanceCount": 1,
            "VolumeSizeInGB": 30,
        },
        "StoppingCondition": limits,
    }
    if spot:
        asked["EnableManagedSpotTraining"] = True
        limits["MaxWaitTimeInSeconds"] = 7200
        asked["CheckpointConfig"] = {"S3Uri": f"s3://{twin.bucket}/checkpoints/{name}/"}
    return asked | changes


def keys(twin: SagemakerTwin, prefix: str = "") -> list[str]:
    found = twin.client("s3").list_objects_v2(Bucket=twin.bucket, Prefix=prefix)
    return [entry["Key"] for entry in found.get("Contents", [])]


def read(twin: SagemakerTwin, key: str) -> str:
    body = twin.client("s3").get_object(Bucket=twin.bucket, Key=key)["Body"]
    return str(body.read().decode())


def describe(twin: SagemakerTwin, name: str = "job") -> dict[str, Any]:
    answer: dict[str, Any] = twin.client("sagemaker").describe_training_job(TrainingJobName=name)
    return answer


def facts(twin: SagemakerTwin, name: str = "job") -> dict[str, Any]:
    told: dict[str, Any] = json.loads(read(twin, f"avatars/{name}/output/data/facts.json"))
    return told


def states(twin: SagemakerTwin, name: str = "job") -> list[str]:
    return [state["Status"] for state in describe(twin, name)["SecondaryStatusTransitions"]]
