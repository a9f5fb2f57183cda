"""An AWS account that is not there, for tests: moto's, with training jobs and endpoints that run.

    pip install lensa[testing]

The pytest fixture `sagemaker_twin` is then there by itself:

    def test_our_service_trains_again_after_an_interruption(sagemaker_twin):
        sagemaker_twin.faults.interrupt_spot(at_step=3)
        job = our_service.train("photos/ada")           # boto3 talks to the twin
        assert sagemaker_twin.jobs[job].wait().status == "Completed"
        assert sagemaker_twin.jobs[job].starts == 2
        assert len(sagemaker_twin.called("CreateTrainingJob")) == 1

A job runs as SageMaker runs it: its channels are downloaded from moto's S3, its own entrypoint and
arguments run as a process in folders like /opt/ml, with the environment that SageMaker gives and
nothing of yours; checkpoints are synced, the model is uploaded, the log goes to CloudWatch. Paths
that begin with /opt/ml become the container's in arguments and environment values; elsewhere the
job has to ask $SAGEMAKER_BASE_DIR.

An endpoint runs as SageMaker runs it, too: model and code come from S3 into folders that nothing
can write to, the image's server is started, and InvokeEndpoint reaches it; InvokeEndpointAsync goes
by way of the bucket. What EventBridge Scheduler is to delete goes when the clock says so.

`twin.clock.advance(seconds)` lets time pass: limits, timestamps and bills follow that clock.
`twin.faults` is everything that can go wrong. `twin.jobs`, `twin.endpoints`, `twin.calls` and
`twin.called(...)` say what happened, `twin.resources()` what is there. `twin.quotas` and
`twin.prices` are the account's. Without pytest:

    with SagemakerTwin() as twin:
        subprocess.run(["my-tool", "train"], env={**os.environ, **twin.environment})

or as a process of its own: `python -m lensa.testing`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lensa.testing.clock import Clock
    from lensa.testing.faults import Faults
    from lensa.testing.hosting.endpoint import TwinEndpoint
    from lensa.testing.job import TwinJob
    from lensa.testing.operations import Call
    from lensa.testing.schedules import Firing
    from lensa.testing.twin import SagemakerTwin

__all__ = ["Call", "Clock", "Faults", "Firing", "SagemakerTwin", "TwinEndpoint", "TwinJob"]

_HOMES = {
    "Call": "lensa.testing.operations",
    "Clock": "lensa.testing.clock",
    "Faults": "lensa.testing.faults",
    "Firing": "lensa.testing.schedules",
    "SagemakerTwin": "lensa.testing.twin",
    "TwinEndpoint": "lensa.testing.hosting.endpoint",
    "TwinJob": "lensa.testing.job",
}


def __getattr__(name: str) -> Any:
    # Late: every pytest run imports this package.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
