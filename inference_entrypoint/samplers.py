"""Schedulers by name, made from the base's own settings.

"default" is the base's own; "ddim" is Song et al. 2020 (arXiv:2010.02502), with "trailing"
timesteps as Hyper-SD wants them; "dpm++" is
DPM-Solver++(2M), Lu et al. 2022 (arXiv:2211.01095), "dpm++-karras" the same with the noise levels
of Karras et al. 2022 (arXiv:2206.00364), whose first-order solver is "euler"; "lcm" is for bases
with a consistency LoRA (Luo et al. 2023, arXiv:2311.05556). Betas, prediction type, timestep
spacing and zero terminal SNR come from the base: it was trained with them.
"""

from __future__ import annotations

from typing import Any

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    SchedulerMixin,
)
from torch import Tensor

from lensa.contract.generation import Scheduler

_DPM = {"algorithm_type": "dpmsolver++", "solver_order": 2, "solver_type": "midpoint"}
_CLASSES: dict[str, tuple[type[SchedulerMixin], dict[str, Any]]] = {
    "ddim": (DDIMScheduler, {"clip_sample": False}),
    "ddim-trailing": (DDIMScheduler, {"clip_sample": False, "timestep_spacing": "trailing"}),
    "dpm++": (DPMSolverMultistepScheduler, _DPM),
    "dpm++-karras": (DPMSolverMultistepScheduler, {**_DPM, "use_karras_sigmas": True}),
    "euler": (EulerDiscreteScheduler, {}),
    "lcm": (LCMScheduler, {"clip_sample": False}),
}


def make_scheduler(own: SchedulerMixin, name: Scheduler) -> SchedulerMixin:
    """Return a new scheduler; `own` stays as it is, with its timesteps and its state."""
    if name == "default":
        return type(own).from_config(own.config)
    scheduler_class, changes = _CLASSES[name]
    # Values that `own` has by default count too. `from_config` would drop them, and the same base
    # would draw other pictures after being saved, when its defaults are written out.
    config = {key: value for key, value in own.config.items() if key != "_use_default_values"}
    if name == "dpm++-karras" and config.get("rescale_betas_zero_snr"):
        name = "dpm++"  # the first noise level is infinite: there is nothing to space from
        scheduler_class, changes = _CLASSES[name]
    if not name.startswith("ddim") and config.get("timestep_spacing") == "leading":
        # That is how DDIM and PNDM count, not how the base was trained: "trailing" would be.
        config["timestep_spacing"] = "linspace"
    return scheduler_class.from_config(config, **changes)


def begin_at(scheduler: SchedulerMixin, steps: int, strength: float) -> Tensor:
    """Return the timesteps of the last `strength` share of the schedule, one at least.

    The scheduler, whose timesteps are set, is told where it begins (SDEdit, Meng et al. 2021,
    arXiv:2108.01073).
    """
    walked = min(max(1, round(steps * strength)), steps)
    first = (steps - walked) * scheduler.order
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    timesteps: Tensor = scheduler.timesteps[first:]
    return timesteps
