"""Schedulers by name, made from the base's own settings.

"default" is the base's own; "ddim" is Song et al. 2020 (arXiv:2010.02502); "dpm++" is
DPM-Solver++(2M), Lu et al. 2022 (arXiv:2211.01095); "euler" is the first-order solver of Karras et
al. 2022 (arXiv:2206.00364). Betas, prediction type, timestep spacing and zero terminal SNR come
from the base: it was trained with them.
"""

from __future__ import annotations

from typing import Any

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    SchedulerMixin,
)

from lensa.contract.generation import Scheduler

_CLASSES: dict[str, tuple[type[SchedulerMixin], dict[str, Any]]] = {
    "ddim": (DDIMScheduler, {"clip_sample": False}),
    "dpm++": (
        DPMSolverMultistepScheduler,
        {"algorithm_type": "dpmsolver++", "solver_order": 2, "solver_type": "midpoint"},
    ),
    "euler": (EulerDiscreteScheduler, {}),
}


def make_scheduler(own: SchedulerMixin, name: Scheduler) -> SchedulerMixin:
    """Return a new scheduler; `own` stays as it is, with its timesteps and its state."""
    if name == "default":
        return type(own).from_config(own.config)
    scheduler_class, changes = _CLASSES[name]
    # Values that `own` has by default count too. `from_config` would drop them, and the same base
    # would draw other pictures after being saved, when its defaults are written out.
    config = {key: value for key, value in own.config.items() if key != "_use_default_values"}
    if name != "ddim" and config.get("timestep_spacing") == "leading":
        # That is how DDIM and PNDM count, not how the base was trained: "trailing" would be.
        config["timestep_spacing"] = "linspace"
    return scheduler_class.from_config(config, **changes)
