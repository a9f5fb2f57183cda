"""What the server stands: many clients at once, some of them bad, and what batching is worth.

    OMP_NUM_THREADS=1 python benchmarks/serving.py [--clients 64] [--seconds 120] [--avatars 20]
        [--rounds 5] [--quick] [--json] [--out benchmarks/results/serving.json]

Two parts, both on `micro` on a CPU, over real HTTP. The load: clients that ask for one of a hundred
requests at random (avatar, prompt, seed, count), of which 5% are malformed and 5% hang up; each
answer is held against what the engine draws for its request alone. Batching: the same work done by
a server that draws up to 8 images together and by one that draws them one by one, in turns; what
is reported is the ratio of their images a second, and of their CPU seconds an image, its median
over the rounds and its range. The clients run on the same machine and take their share of it.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path[:1] = [str(ROOT)]

from benchmarks.load import (  # noqa: E402
    Shares,
    batches,
    compare,
    cpu_seconds,
    drive,
    family,
    figures,
    make_pool,
    memory,
    watched,
)
from lensa.contract import (  # noqa: E402
    BASES,
    MANIFEST,
    AvatarManifest,
    FileRecord,
    GenerationRequest,
    TrainingConfig,
)

BOUND = 1.3  # what batching is to be worth, on a CPU at this size
REQUESTS = 100  # distinct ones: drawing each alone, to compare, has to stay affordable
WARM = 0.1  # of the time: memory grows until every buffer has had its largest use


def write_avatars(folder: Path, count: int) -> list[str]:
    """Write avatars on `micro`, each with a LoRA of random weights; return their ids."""
    import torch
    from safetensors.torch import save_file

    from inference_entrypoint.adapters import expected_shapes
    from inference_entrypoint.artifact import LORA_FILE
    from inference_entrypoint.bases import load_base
    from inference_entrypoint.micro import REVISION

    config = TrainingConfig(subject_id="bench000", base=BASES["micro"], lora_rank=4)
    pipeline = load_base(config.base, device="cpu", dtype=torch.float32)
    shapes = expected_shapes(pipeline, config)
    scale = {f"unet.{key}": config.lora_rank for key in ("r", "lora_alpha")}
    metadata = {"format": "pt", "lora_adapter_metadata": json.dumps(scale)}
    names = [f"lensa-bench000-{number:08x}" for number in range(count)]
    for number, name in enumerate(names):
        source = torch.Generator().manual_seed(number)
        tensors = {key: 0.3 * torch.randn(shape, generator=source) for key, shape in shapes.items()}
        file = folder / name / LORA_FILE
        file.parent.mkdir(parents=True)
        save_file(tensors, file, metadata=metadata)
        content = file.read_bytes()
        manifest = AvatarManifest(
            avatar=name,
            base_revision=REVISION,
            photo_digests=(),
            config=config,
            precision="fp32",
            seed=0,
            steps_trained=1,
            trained_at=datetime.now(UTC),
            versions={},
            sample_prompts=(),
            files=(
                FileRecord(
                    path=LORA_FILE,
                    size=len(content),
                    sha256=hashlib.sha256(content).hexdigest(),
                ),
            ),
        )
        (file.parent / MANIFEST).write_text(manifest.model_dump_json())
    return names


@contextmanager
def server(folder: Path, log: Path, *options: str) -> Iterator[tuple[str, int]]:
    """Start a server and wait until it draws; yield its address and its process's id."""
    command = [sys.executable, "-m", "inference_entrypoint.server", "--model-dir", str(folder)]
    with log.open("w") as lines:
        process = subprocess.Popen(
            [*command, "--port", "0", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=lines,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )
        try:
            assert process.stdout is not None
            url = f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
            while httpx.get(f"{url}/ping").status_code != 200:
                if process.poll() is not None:
                    raise SystemExit(log.read_text()[-2000:])
                time.sleep(0.1)
            yield url, process.pid
        finally:
            process.terminate()
            process.wait(60)


def load(
    folder: Path, pool: Sequence[GenerationRequest], clients: int, seconds: float, scratch: Path
) -> dict[str, Any]:
    with server(folder, scratch / "load.log") as (url, pid):
        before, processes = figures(url), {process.pid for process in family(pid)}
        with watched(pid) as seen:
            tally = asyncio.run(drive(url, pool, clients=clients, seconds=seconds))
            idle = memory(pid)
        after = figures(url)
        same = {process.pid for process in family(pid)} == processes
    found = compare(tally, pool, folder)
    warm = seen[int(WARM * len(seen)) :]
    cuts = quantiles(tally.seconds, n=100)
    restarts = after.get("lensa_drawer_restarts_total", 0)
    return {
        "clients": clients,
        "seconds": round(tally.elapsed, 1),
        "good_requests": tally.good,
        "answered": len(tally.seconds),
        "told_busy_and_came_back": tally.told_busy,
        "malformed_by_status": dict(sorted(tally.malformed.items())),
        "hung_up": tally.hung_up,
        "lost": tally.wrong,
        "mixed_up": found.wrong,
        "largest_difference_of_255": found.largest,
        "distinct_answers": len(tally.answers),
        "of_which_not_byte_for_byte": found.differing,
        "least_difference_between_two_requests": found.apart,
        "latency_seconds": {
            "p50": round(cuts[49], 3),
            "p95": round(cuts[94], 3),
            "p99": round(cuts[98], 3),
        },
        "images_a_second": round(tally.images / tally.elapsed, 2),
        **batches(before, after),
        "memory_megabytes": {
            "at_first": round(seen[0] / 1e6),
            "warm": round(warm[0] / 1e6),
            "middle": round(warm[len(warm) // 2] / 1e6),
            "end": round(warm[-1] / 1e6),
            "idle_again": round(idle / 1e6),
            "most": round(max(seen) / 1e6),
        },
        "same_processes_throughout": same,
        "restarts": int(restarts),
    }


def batching(
    folder: Path,
    pool: Sequence[GenerationRequest],
    rounds: int,
    requests: int,
    scratch: Path,
) -> dict[str, Any]:
    """The same requests to a server that batches and to one that does not, in turns."""
    sizes = (8, 1)
    speeds: dict[int, list[float]] = {size: [] for size in sizes}
    costs: dict[int, list[float]] = {size: [] for size in sizes}
    with (
        server(folder, scratch / "many.log", "--batch", "8") as many,
        server(folder, scratch / "one.log", "--batch", "1") as one,
    ):
        servers = dict(zip(sizes, (many, one), strict=True))
        for number in range(rounds + 1):
            for size in sizes if number % 2 else reversed(sizes):
                url, pid = servers[size]
                before = cpu_seconds(pid)
                good = drive(
                    url,
                    pool,
                    clients=16,
                    requests=requests,
                    shares=Shares(0, 0),
                    seed=number,
                )
                tally = asyncio.run(good)
                if tally.wrong:
                    raise SystemExit("\n".join(tally.wrong[:5]))
                if number:  # the first round is not counted
                    speeds[size].append(tally.images / tally.elapsed)
                    costs[size].append((cpu_seconds(pid) - before) / tally.images)
    return {
        "rounds": rounds,
        "requests_a_round": requests,
        "bound": BOUND,
        "images_a_second": {f"batch {size}": round(median(speeds[size]), 2) for size in sizes},
        "ratio_of_images_a_second": spread(speeds[8], speeds[1]),
        "ratio_of_cpu_seconds_an_image": spread(costs[1], costs[8]),
    }


def spread(mine: Sequence[float], others: Sequence[float]) -> dict[str, float]:
    """The ratios, round by round."""
    ratios = [one / other for one, other in zip(mine, others, strict=True)]
    found = {"median": median(ratios), "least": min(ratios), "most": max(ratios)}
    return {name: round(value, 2) for name, value in found.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--avatars", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5, help="of batching against none")
    parser.add_argument("--requests", type=int, default=200, help="in each of these rounds")
    parser.add_argument("--quick", action="store_true", help="a look: half a minute, not a result")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.clients, options.seconds, options.avatars = 16, 10, 5
        options.rounds, options.requests = 2, 40
    result: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "avatars": options.avatars,
    }
    with tempfile.TemporaryDirectory() as name:
        scratch, folder = Path(name), Path(name) / "avatars"
        pool = make_pool(write_avatars(folder, options.avatars), REQUESTS)
        result["load"] = load(folder, pool, options.clients, options.seconds, scratch)
        result["batching"] = batching(folder, pool, options.rounds, options.requests, scratch)
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")
    if options.json:
        print(json.dumps(result))
    else:
        for part in ("load", "batching"):
            print(part)
            for key, value in result[part].items():
                print(f"  {key:38} {value}")
    # However fast it was: a request that is lost, or answered with another's images, is a failure.
    return int(bool(result["load"]["lost"] or result["load"]["mixed_up"]))


if __name__ == "__main__":
    sys.exit(main())
