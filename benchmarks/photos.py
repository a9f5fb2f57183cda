"""How long the coach takes for a phone's photos, and how much memory.

    python benchmarks/photos.py [--runs 5] [--size 512] [--out benchmarks/results/photos.json]

Twenty generated photos of 12 megapixels (4032 x 3024 JPEG, about 3 MB each, with EXIF orientation
and an ICC profile) are checked and prepared, each run in a process of its own. Writes seconds
(every run, min, median, max), CPU seconds over all threads, and the largest resident memory. The
seconds count whatever else the machine does: `load_before` says how much that was.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COUNT, WIDTH, HEIGHT = 20, 4032, 3024
GOAL_SECONDS, GOAL_MB = 6.0, 500.0


def make_photos(folder: Path) -> None:
    """Write pictures with a camera's detail: a scene of soft shapes under grain."""
    from PIL import Image, ImageCms, ImageFilter
    from skimage import data

    face = Image.fromarray(data.astronaut()).crop((96, 0, 352, 256))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    grain = Image.effect_noise((WIDTH, HEIGHT), 22)
    for number in range(COUNT):
        scene = Image.effect_noise((48, 36), 120).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        scene = Image.merge("RGB", (scene, scene.filter(ImageFilter.BoxBlur(40)), scene))
        side = 900 + 60 * number
        scene.paste(face.resize((side, side)), (300 + 70 * number, HEIGHT - side - 20 * number))
        photo = Image.blend(scene, Image.merge("RGB", (grain,) * 3), 0.18)
        exif = Image.Exif()
        exif[0x0112] = (1, 6, 8, 3)[number % 4]
        exif[0x010F], exif[0x0110] = "Phonemaker", "Phone 12"
        exif.get_ifd(0x8769)[0x9003] = f"2024:05:{1 + number:02} 12:00:00"
        turned = photo.rotate({6: 90, 8: 270, 3: 180}.get(exif[0x0112], 0), expand=True)
        turned.save(folder / f"IMG_{number:04}.jpg", quality=90, exif=exif, icc_profile=profile)


def peak_mb() -> float:
    """The largest resident memory of this process. Linux: ru_maxrss would count the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def one_run(folder: Path, size: int) -> None:
    """Check and prepare, and print what it took."""
    from lensa.photos.examine import examine

    began, cpu = time.perf_counter(), time.process_time()
    examined = examine(folder, size, kind="person")
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = peak_mb()
    assert len(examined.photo_set.photos) == COUNT
    print(
        json.dumps(
            {
                "seconds": round(seconds, 2),
                "cpu_seconds": round(cpu, 2),
                "peak_mb": round(peak, 1),
                "detector": examined.report.detector,
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--photos", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results/photos.json")
    args = parser.parse_args()
    if args.photos is not None:
        one_run(args.photos, args.size)
        return
    with tempfile.TemporaryDirectory() as name:
        make_photos(Path(name))
        megabytes = sum(path.stat().st_size for path in Path(name).iterdir()) / 1e6
        command = [sys.executable, __file__, "--photos", name, "--size", str(args.size)]
        load = os.getloadavg()[0]
        runs = [
            json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            for _ in range(args.runs)
        ]
    seconds = [run["seconds"] for run in runs]
    result = {
        "photos": COUNT,
        "pixels": [WIDTH, HEIGHT],
        "megabytes": round(megabytes, 1),
        "size": args.size,
        "detector": runs[0]["detector"],
        "seconds": {
            "min": min(seconds),
            "median": statistics.median(seconds),
            "max": max(seconds),
            "goal": GOAL_SECONDS,
        },
        "cpu_seconds": statistics.median(run["cpu_seconds"] for run in runs),
        "peak_mb": {"max": max(run["peak_mb"] for run in runs), "goal": GOAL_MB},
        "runs": runs,
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            "load_before": round(load, 2),  # of others: the cores were not ours alone
        },
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
