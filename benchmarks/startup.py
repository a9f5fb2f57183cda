"""How long the client takes to start: `python benchmarks/startup.py [--json]`.

Each command runs in a fresh process, in turn with a bare interpreter; what is reported is the
median over the rounds, and the ratio to the bare interpreter round by round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python": [sys.executable, "-c", "pass"],
    "import lensa": [sys.executable, "-c", "import lensa"],
    "lensa --help": [sys.executable, "-c", "from lensa.cli import main; main()", "--help"],
    "lensa train --help": [
        *(sys.executable, "-c", "from lensa.cli import main; main()"),
        *("train", "--help"),
    ],
}
BOUNDS = {"import lensa": 0.1, "lensa --help": 0.3}  # seconds


def measure(rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each command in each round; one round before is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for round_number in range(rounds + 1):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            if round_number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def heavy_modules() -> list[str]:
    """Return what `lensa --help` loads of botocore and the ML stack: nothing, one hopes."""
    script = "import sys; import lensa.cli; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in out.stdout.split()}
    return sorted(loaded & {"boto3", "botocore", "torch", "diffusers", "transformers", "peft"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seconds = measure(options.rounds)
    bare = seconds["python"]
    report = {
        name: {
            "median_seconds": round(statistics.median(values), 3),
            "min_seconds": round(min(values), 3),
            "max_seconds": round(max(values), 3),
            "median_ratio_to_python": round(
                statistics.median(mine / other for mine, other in zip(values, bare, strict=True)), 1
            ),
            "bound_seconds": BOUNDS.get(name),
        }
        for name, values in seconds.items()
    }
    loaded = heavy_modules()
    if options.json:
        print(json.dumps({"startup": report, "heavy_modules": loaded}))
        return
    for name, row in report.items():
        bound = f"  (bound {row['bound_seconds']} s)" if row["bound_seconds"] else ""
        print(
            f"{name:<20} {row['median_seconds']:.3f} s  "
            f"[{row['min_seconds']:.3f}, {row['max_seconds']:.3f}]  "
            f"{row['median_ratio_to_python']:.1f} x python{bound}"
        )
    print(f"heavy modules loaded: {', '.join(loaded) or 'none'}")


if __name__ == "__main__":
    main()
