"""How a job that fails says why: one paragraph, with what to do about it."""

from __future__ import annotations

import pytest
import torch

from lensa.errors import BaseModelError, ConfigError, LensaError, TrainingError
from training_entrypoint.__main__ import _told


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), TrainingError, "the GPU is out of"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), TrainingError, "the GPU is out"),
        (MemoryError(), TrainingError, "the machine is out of memory"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory"),
            TrainingError,
            "the machine is out of memory",
        ),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            ConfigError,
            "torch is not installed here. In a container: use an image with PyTorch",
        ),
        (KeyError("x"), TrainingError, "KeyError: 'x'"),
    ],
)
def test_it_is_told(error: Exception, kind: type[LensaError], says: str) -> None:
    told = _told(error)
    assert type(told) is kind
    assert says in str(told)


def test_in_a_sagemaker_job_a_base_that_cannot_be_had_names_the_ways_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gated = BaseModelError("x/y is gated: set HF_TOKEN.")
    other = BaseModelError("x/y is a FluxPipeline.")
    assert _told(gated) is gated
    monkeypatch.setenv("TRAINING_JOB_ARN", "arn:aws:sagemaker:us-east-1:1:training-job/x")
    told = _told(gated)
    assert isinstance(told, BaseModelError)
    assert _told(other) is other
    assert str(told).startswith(
        "x/y is gated: set HF_TOKEN. A SageMaker job gets HF_TOKEN as the ARN"
    )
