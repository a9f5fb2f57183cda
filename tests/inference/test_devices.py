"""A GPU that is there and cannot be used: a container that is paid for says so and ends."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from inference_entrypoint.devices import check_gpu, gpu_is_there
from lensa.errors import ConfigError


@pytest.mark.parametrize(
    ("environ", "nodes", "there"),
    [
        ({}, [], False),
        ({}, ["nvidia0"], True),
        ({}, ["nvidia3", "nvidiactl"], True),
        ({}, ["nvidiactl", "nvidia-uvm"], False),
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, [], False),  # images say so on any machine
        ({"NVIDIA_VISIBLE_DEVICES": "void"}, [], False),
        ({"NVIDIA_VISIBLE_DEVICES": "GPU-5f1c"}, [], True),
        ({"NVIDIA_VISIBLE_DEVICES": "0"}, [], True),
        ({"SM_NUM_GPUS": "0"}, [], False),
        ({"SM_NUM_GPUS": "4"}, [], True),
        ({"SM_NUM_GPUS": "4", "CUDA_VISIBLE_DEVICES": ""}, ["nvidia0"], False),  # on purpose
    ],
)
def test_a_gpu_is_there_by_its_device_or_by_the_words_of_who_gave_it(
    environ: dict[str, str], nodes: list[str], there: bool, tmp_path: Path
) -> None:
    for name in nodes:
        (tmp_path / name).touch()
    assert gpu_is_there(environ, tmp_path) == there


@pytest.mark.skipif(torch.cuda.is_available(), reason="this GPU can be used")
def test_in_a_container_it_is_an_error_with_torchs_reason_and_elsewhere_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "nvidia0").touch()
    with pytest.raises(ConfigError, match=r"cannot use it: .{10,}\. Use an image") as told:
        check_gpu({}, tmp_path, in_container=True)
    assert "it does not say why" not in str(told.value)
    for _ in range(2):
        check_gpu({}, tmp_path, in_container=False)
    assert caplog.text.count("The CPU takes its place") == 1
    check_gpu({}, tmp_path / "none", in_container=True)
