"""Many avatars on one endpoint: each request gets its own, whoever asks beside it."""

from __future__ import annotations

import json
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cloud import settle

from lensa.client import Client
from lensa.contract import GenerationRequest
from lensa.testing import SagemakerTwin

sys.path.insert(0, str(Path(__file__).parent.parent / "inference"))

AVATARS, THREADS = 50, 8
DRAWN: dict[str, Any] = {"prompt": "as a pirate", "seed": 5, "steps": 2}


def put_fifty(twin: SagemakerTwin, folder: Path) -> dict[str, Path]:
    """Put avatars with weights of their own into the bucket, as finished jobs leave them."""
    from many import id_of, numbered, renumber

    s3, found = twin.client("s3"), {}
    one = numbered(folder / "0", 0)
    for number in range(AVATARS):
        avatar = id_of(number)
        found[avatar] = folder / str(number)
        if number:
            found[avatar].mkdir()
            for file in one.iterdir():
                (found[avatar] / file.name).write_bytes(file.read_bytes())
            renumber(found[avatar], number)
        for file in found[avatar].iterdir():
            key = f"lensa/avatars/{avatar}/output/model/{file.name}"
            s3.put_object(Bucket=twin.bucket, Key=key, Body=file.read_bytes())
    return found


def push_image(twin: SagemakerTwin) -> None:
    """Put an image of our own into the account's registry; the twin asks no more than its name."""
    ecr = twin.client("ecr")
    ecr.create_repository(repositoryName="lensa")
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json"},
        "layers": [],
    }
    ecr.put_image(repositoryName="lensa", imageTag="1", imageManifest=json.dumps(manifest))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="AWS's image"),
        pytest.param(
            {"serving": "own", "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/lensa:1"},
            id="our own image",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_fifty_avatars_in_random_order_from_eight_threads_are_not_mixed_up(
    sagemaker_twin: SagemakerTwin,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    options: dict[str, Any],
) -> None:
    import numpy as np

    from inference_entrypoint.library import Library

    settle(sagemaker_twin, monkeypatch)
    if options:
        push_image(sagemaker_twin)
    folders = put_fifty(sagemaker_twin, tmp_path)
    avatars = list(folders)
    with Client().deploy(avatars[0], on_event=lambda event: None, **options) as endpoint:
        for avatar in avatars[1:]:
            endpoint.add(avatar)
        assert len(sagemaker_twin.called("CreateEndpoint")) == 1
        order = avatars * 2
        random.Random(7).shuffle(order)
        with ThreadPoolExecutor(THREADS) as pool:
            galleries = list(pool.map(lambda name: endpoint.generate(avatar=name, **DRAWN), order))

    library = Library(resident=AVATARS)
    alone = {}
    for avatar, folder in folders.items():
        library.add(folder)
        request = GenerationRequest(avatar=avatar, **DRAWN)
        alone[avatar] = np.asarray(library.generate(request).images[0], dtype=int)
    for avatar, gallery in zip(order, galleries, strict=True):
        drawn = np.asarray(gallery.pictures()[0], dtype=int)
        distances = {other: np.abs(drawn - image).max() for other, image in alone.items()}
        assert distances.pop(avatar) <= 1  # a batch may round a value otherwise
        assert min(distances.values()) > 5
