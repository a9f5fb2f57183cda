"""How fast a training is, against diffusers' own scripts as they come.

    OMP_NUM_THREADS=1 python benchmarks/training.py --diffusers CHECKOUT [--pairs 5] [--json]
        [--only speed loss photos compute] [--out benchmarks/results/training.json]

CHECKOUT is a checkout of diffusers at the installed version. Its `train_dreambooth.py` and
`train_dreambooth_lora.py` run unmodified through `accelerate launch`; they need torchvision, which
lensa does not. Ours is the real job, `python -m training_entrypoint`. Both train the same model
(`training_models.py`: SD 1.5's architecture, random weights, heads of 64 channels) on the same 512
px photos at 256 px, one instance and one class image a step, in float32 by one thread.

speed    A run of `FEW` steps and one of `MANY`, whose difference is the steps' own CPU seconds:
         start, loading and saving fall out. A pair is these four runs, in turns; the interval is
         Student's over the pairs' logarithms. A run of ours with more class images, once, tells
         what an image costs in the cache of latents; 100 class images and the photos are charged
         to our step, spread over 800. Peak memory is that of the longer runs. bf16 stands beside.
loss     The mean loss of steps 1 to 20 and 81 to 100 on `mini` (trained, 64 px: a step that
         learns), over seeds.
photos   CPU seconds a step on `micro` with 12-megapixel photos and with small ones.
compute  Photos to first avatar: every call of the networks counted on a short run of both sides,
         against the formula that then says what 100 class images and 800 steps cost, in FLOPs.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SCRIPTS = {"full": "train_dreambooth.py", "lora": "train_dreambooth_lora.py"}
PARTS = ("speed", "loss", "photos", "compute")

FEW, MANY, FEW_IMAGES, MORE_IMAGES = 1, 13, 4, 24
STEPS, CLASS_IMAGES, PHOTOS = 800, 100, 8  # of the recipe that costs are spread over
RATES = {"full": 2e-6, "lora": 1e-4}
RANK = 4  # their default
# Student's t, two-sided 95%, by degrees of freedom
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201)

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True)
class Used:
    """What a process and its children took. `seconds` are the CPU's."""

    seconds: float
    peak_mb: float
    text: str


@dataclass(frozen=True)
class Setting:
    """A model, its photos and a size in pixels."""

    model: Path
    photos: Path
    class_images: Path
    side: int


class Bench:
    """Runs one side or the other, each in a folder of its own under `work`."""

    def __init__(self, checkout: Path, work: Path) -> None:
        self.scripts = checkout / "examples" / "dreambooth"
        self.work, self.runs = work, 0

    def run(self, command: list[str], **environment: str) -> Used:
        """Run to the end. RuntimeError, with the last lines of what it said, if it fails."""
        self.runs += 1
        log = self.work / f"run-{self.runs}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **ONE_THREAD, **environment},
                cwd=self.work,
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        text = log.read_text(errors="replace")
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{text[-3000:]}")
        return Used(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text)

    def theirs(
        self,
        setting: Setting,
        method: str,
        steps: int,
        *,
        precision: str = "fp32",
        seed: int = 0,
        rate: float | None = None,
        class_images: int | None = None,
        counted: Path | None = None,
    ) -> Used:
        launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1"]
        launch += ["--num_machines", "1", "--num_cpu_threads_per_process", "1"]
        launch += ["--mixed_precision", "no", "--dynamo_backend", "no"]
        script = [str(self.scripts / SCRIPTS[method])]
        if counted is not None:
            launch = [sys.executable, str(HERE / "training_calls.py"), str(counted)]
        with tempfile.TemporaryDirectory(dir=self.work) as out:
            options = {
                "pretrained_model_name_or_path": setting.model,
                "instance_data_dir": setting.photos,
                "class_data_dir": setting.class_images,
                "num_class_images": class_images or len(list(setting.class_images.iterdir())),
                "instance_prompt": "a photo of ohwx person",
                "class_prompt": "a photo of a person",
                "resolution": setting.side,
                "train_batch_size": 1,
                "max_train_steps": steps,
                "checkpointing_steps": 10**6,
                "learning_rate": rate or RATES[method],
                "lr_warmup_steps": 0,
                "seed": seed,
                "output_dir": out,
                "mixed_precision": {"fp32": "no"}.get(precision, precision),
            }
            flags = [part for key, value in options.items() for part in (f"--{key}", str(value))]
            flags += ["--with_prior_preservation"]
            flags += ["--rank", str(RANK)] if method == "lora" else []
            return self.run([*launch, *script, *flags])

    def ours(
        self,
        setting: Setting,
        method: str,
        steps: int,
        *,
        precision: str = "fp32",
        seed: int = 0,
        rate: float | None = None,
        class_images: int | None = None,
        counted: Path | None = None,
    ) -> Used:
        config = {
            "subject_id": "bench0000",
            "base": {"name": "bench", "source": "folder", "location": str(setting.model)},
            "method": method,
            "lora_rank": RANK,
            "resolution": setting.side,
            "steps": steps,
            "learning_rate": rate or RATES[method],
            "batch_size": 1,
            "precision": precision,
            "seed": seed,
            "class_images": class_images or len(list(setting.class_images.iterdir())),
            "validation_prompts": [],
            "validation_every": 0,
            "checkpoint_every": 0,
            "tracker": "none",
        }
        with tempfile.TemporaryDirectory(dir=self.work) as root:
            data = Path(root) / "input" / "data"
            (data / "config").mkdir(parents=True)
            (data / "config" / "training.json").write_text(json.dumps(config))
            (data / "photos").symlink_to(setting.photos)
            if any(setting.class_images.iterdir()):
                (data / "class_images").symlink_to(setting.class_images)
            command = ["-m", "training_entrypoint"]
            if counted is not None:
                command = [str(HERE / "training_calls.py"), str(counted), *command]
            return self.run(
                [sys.executable, *command],
                SAGEMAKER_BASE_DIR=root,
                PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            )

    def setting(self, model: str, side: int, photo_side: int, class_images: int) -> Setting:
        """Write a model, `PHOTOS` photos and class images; what is there already stays."""
        folder = self.work / model
        if model == "mini":
            import lensa_mini

            folder = Path(lensa_mini.base_path())
        elif not folder.exists():
            self.run(
                [sys.executable, str(HERE / "training_models.py"), "write", model, str(folder)]
            )
        photos = self.work / f"photos-{photo_side}"
        drawn = self.work / f"class-{side}-{class_images}"
        write_images(photos, PHOTOS, photo_side, "jpg", seed=1)
        write_images(drawn, class_images, side, "png", seed=2)
        return Setting(folder, photos, drawn, side)


def write_images(folder: Path, count: int, side: int, suffix: str, seed: int) -> None:
    """Write soft shapes under grain; a photo of 4000 px is a camera's 12 megapixels."""
    import numpy as np
    from PIL import Image

    folder.mkdir(exist_ok=True)
    numbers = np.random.default_rng(seed)
    size = (4000, 3000) if side == 4000 else (side, side)
    for index in range(count):
        shapes = Image.fromarray(numbers.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        image = shapes.resize(size, Image.Resampling.BICUBIC)
        grain = Image.effect_noise(size, 20).convert("RGB")
        Image.blend(image, grain, 0.15).save(folder / f"{index:04}.{suffix}", quality=90)


def speed(bench: Bench, method: str, precision: str, count: int) -> dict[str, Any]:
    setting = bench.setting("narrow", 256, 512, MORE_IMAGES)
    rows: list[dict[str, float]] = []
    image = 0.0
    for number in range(count):
        runs: dict[str, Used] = {}

        def do(side: str, steps: int, images: int = FEW_IMAGES, runs: Any = runs) -> None:
            run = bench.theirs if side == "theirs" else bench.ours
            runs[f"{side} {steps} {images}"] = run(
                setting, method, steps, precision=precision, class_images=images
            )

        for steps in (FEW, MANY):
            for side in ("theirs", "ours") if number % 2 == 0 else ("ours", "theirs"):
                do(side, steps)
        if number == 0:
            do("ours", FEW, MORE_IMAGES)
        took = {name: used.seconds for name, used in runs.items()}
        few, many = f"{FEW} {FEW_IMAGES}", f"{MANY} {FEW_IMAGES}"
        their = (took[f"theirs {many}"] - took[f"theirs {few}"]) / (MANY - FEW)
        our = (took[f"ours {many}"] - took[f"ours {few}"]) / (MANY - FEW)
        if number == 0:
            more = took[f"ours {FEW} {MORE_IMAGES}"] - took[f"ours {few}"]
            image = max(0.0, more / (MORE_IMAGES - FEW_IMAGES))
        rows.append(
            {
                "their_step": their,
                "our_step": our,
                "our_cache_image": image,
                "our_cache_step": image * (CLASS_IMAGES + PHOTOS) / STEPS,
                "their_peak_mb": runs[f"theirs {many}"].peak_mb,
                "our_peak_mb": runs[f"ours {many}"].peak_mb,
            }
        )
        say(f"{method} {precision}", {name: round(value, 3) for name, value in rows[-1].items()})
    found = {name: round(median(row[name] for row in rows), 3) for name in rows[0]}
    ratios = [row["their_step"] / (row["our_step"] + row["our_cache_step"]) for row in rows]
    return {"pairs": count, **interval(ratios), "ratios": [round(r, 3) for r in ratios], **found}


def interval(ratios: list[float]) -> dict[str, float | None]:
    """The geometric mean and its 95% interval."""
    logs = [math.log(ratio) for ratio in ratios]
    found: dict[str, float | None] = {"ratio": round(math.exp(mean(logs)), 3)}
    if len(logs) < 2:
        return {**found, "low": None, "high": None}
    half = T95[len(logs) - 2] * stdev(logs) / len(logs) ** 0.5
    low, high = math.exp(mean(logs) - half), math.exp(mean(logs) + half)
    return {**found, "low": round(low, 3), "high": round(high, 3)}


def loss(bench: Bench, method: str, seeds: int) -> dict[str, Any]:
    setting = bench.setting("mini", 64, 256, FEW_IMAGES)
    steps, rate = 100, {"full": 2e-5, "lora": 1e-3}[method]  # small models take larger steps
    ends: dict[str, list[tuple[float, float]]] = {"theirs": [], "ours": []}
    for seed in range(seeds):
        for side, run in (("theirs", bench.theirs), ("ours", bench.ours)):
            used = run(setting, method, steps, seed=seed, rate=rate)
            values = their_losses(used.text) if side == "theirs" else our_losses(used.text)
            if sorted(values) != list(range(1, steps + 1)):
                raise RuntimeError(f"{side} told the loss of {len(values)} of {steps} steps")
            first = mean(values[step] for step in range(1, 21))
            last = mean(values[step] for step in range(steps - 19, steps + 1))
            ends[side].append((first, last))
    found: dict[str, Any] = {"model": "mini, 64 px", "seeds": seeds}
    for index, when in enumerate(("steps 1 to 20", "steps 81 to 100")):
        rows = {side: [pair[index] for pair in pairs] for side, pairs in ends.items()}
        spread = (sum(stdev(row) ** 2 for row in rows.values()) / 2) ** 0.5
        apart = abs(mean(rows["theirs"]) - mean(rows["ours"]))
        found[when] = {
            **{side: [round(value, 4) for value in row] for side, row in rows.items()},
            "means_apart": round(apart, 4),
            "spread_of_seeds": round(spread, 4),
            "within": apart <= spread,
        }
    say(f"loss, {method}", found)
    return found


def their_losses(text: str) -> dict[int, float]:
    """The bar is drawn before its loss is set: the last drawing of a step has its own."""
    drawn = re.findall(r"(\d+)/\d+ \[[^\]]*loss=([\d.e+-]+)", text)
    return {int(step): float(value) for step, value in drawn if int(step)}


def our_losses(text: str) -> dict[int, float]:
    events = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    told = [event for event in events if event.get("stage") == "training" and event.get("loss")]
    return {event["step"]: event["loss"] for event in told}


def photos(bench: Bench) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, side in (("512 x 512 px", 512), ("4000 x 3000 px", 4000)):
        setting = bench.setting("micro", 32, side, FEW_IMAGES)
        found[name] = {}
        for who, run in (("theirs", bench.theirs), ("ours", bench.ours)):
            few, many = (run(setting, "lora", steps).seconds for steps in (4, 44))
            found[name][f"{who}, s a step"] = round((many - few) / 40, 4)
    say("photos", found)
    return found


def compute(bench: Bench) -> dict[str, Any]:
    """FLOPs of the UNet and the VAE from photos to the first avatar, at SD 1.5's size."""
    calls = {side: count_calls(bench, side) for side in ("theirs", "ours")}
    found: dict[str, Any] = {"images a network saw on the short run": calls}
    for side in (256, 512):
        command = [sys.executable, str(HERE / "training_models.py"), "flops", "sd15", str(side)]
        of = json.loads(bench.run(command).text.splitlines()[-1])
        for method in SCRIPTS:
            step = 2 * of[f"unet, {method}"]
            draw = {
                "theirs": CLASS_IMAGES * (per_image(calls["theirs"]) * of["unet"] + of["decode"]),
                "ours": CLASS_IMAGES * (per_image(calls["ours"]) * of["unet"] + of["decode"]),
            }
            theirs = STEPS * (step + 2 * of["encode"])
            ours = STEPS * step + (CLASS_IMAGES + PHOTOS) * of["encode"]
            found[f"{method}, {side} px"] = {
                "their_teraflops": round((draw["theirs"] + theirs) / 1e12),
                "our_teraflops": round((draw["ours"] + ours) / 1e12),
                "share": round((draw["ours"] + ours) / (draw["theirs"] + theirs), 3),
                "share_with_cached_class_images": round(ours / (draw["theirs"] + theirs), 3),
                "limit_of_a_step": round(1 + 2 * (of["encode"] + of["text"]) / step, 3),
            }
    say("compute", found)
    return found


SHORT_STEPS, SHORT_IMAGES = 6, 4


def per_image(calls: dict[str, int]) -> float:
    """What the UNet is asked without gradients is for class images: none was there."""
    return calls["unet"] / SHORT_IMAGES


def count_calls(bench: Bench, side: str) -> dict[str, int]:
    """Count on `micro`, with class images drawn; RuntimeError where the formula does not hold."""
    setting = bench.setting("micro", 32, 512, 0)
    for file in setting.class_images.iterdir():
        file.unlink()
    out = bench.work / f"calls-{side}.json"
    run = bench.theirs if side == "theirs" else bench.ours
    run(setting, "lora", SHORT_STEPS, class_images=SHORT_IMAGES, counted=out)
    calls: dict[str, int] = json.loads(out.read_text())
    encoded = {"theirs": 2 * SHORT_STEPS, "ours": SHORT_IMAGES + PHOTOS}[side]
    expected = {"unet, trained": 2 * SHORT_STEPS, "encode": encoded, "decode": SHORT_IMAGES}
    odd = {name: (calls.get(name), n) for name, n in expected.items() if calls.get(name) != n}
    if odd:
        raise RuntimeError(f"{side}: (counted, expected) are {odd}")
    return calls


def say(name: str, found: dict[str, Any]) -> None:
    print(name, json.dumps(found), file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--diffusers", type=Path, required=True, metavar="CHECKOUT")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--bf16-pairs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--methods", nargs="+", choices=tuple(SCRIPTS), default=tuple(SCRIPTS))
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--work", type=Path, help="keeps models and logs; else a temporary folder")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="results; other parts that it has are kept")
    options = parser.parse_args()
    packages = ("torch", "diffusers", "accelerate", "transformers", "peft")
    result: dict[str, Any] = {}
    if options.out and options.out.exists():
        result = json.loads(options.out.read_text())
    facts = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {processor()}, one thread",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "load_before": round(os.getloadavg()[0], 2),
    }
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        bench = Bench(options.diffusers.resolve(), work)
        for part in options.only:
            found: dict[str, Any] = dict(facts)
            if part == "speed":
                for method in options.methods:
                    found[f"{method}, fp32"] = speed(bench, method, "fp32", options.pairs)
                    keep(options.out, {**result, part: found})
                for method in options.methods if options.bf16_pairs else ():
                    found[f"{method}, bf16"] = speed(bench, method, "bf16", options.bf16_pairs)
                    keep(options.out, {**result, part: found})
            elif part == "loss":
                found |= {method: loss(bench, method, options.seeds) for method in options.methods}
            else:
                found |= {"photos": photos, "compute": compute}[part](bench)
            result[part] = found
            keep(options.out, result)
    if options.json:
        print(json.dumps(result))
        return
    for part, found in result.items():
        for name, row in found.items():
            print(f"{part:8} {name:28} {row}")


def keep(out: Path | None, result: dict[str, Any]) -> None:
    if out is not None:
        out.write_text(json.dumps(result, indent=2) + "\n")


def processor() -> str:
    """The processor's name. Linux: `platform.processor` has none."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", info.read_text()) if info.exists() else []
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
