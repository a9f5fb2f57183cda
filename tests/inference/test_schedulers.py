"""Schedulers by name, whatever the base was trained with."""

from __future__ import annotations

import pytest
from diffusers import DDIMScheduler, PNDMScheduler
from making import draw, fresh_micro, micro

from inference_entrypoint.samplers import make_scheduler

BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
OWN = {
    "SD 1.5": PNDMScheduler(**BETAS, skip_prk_steps=True, steps_offset=1),
    "v-prediction, zero terminal SNR": DDIMScheduler(
        **BETAS,
        clip_sample=False,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    ),
}


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("name", ["default", "ddim", "dpm++", "euler"])
def test_each_draws_on_each_base(own: str, name: str) -> None:
    pipeline = fresh_micro()
    pipeline.scheduler = OWN[own]
    assert len(draw(pipeline, scheduler=name, steps=4).images) == 1


@pytest.mark.parametrize("name", ["ddim", "dpm++", "euler"])
def test_what_the_base_was_trained_with_is_kept(name: str) -> None:
    made = make_scheduler(OWN["v-prediction, zero terminal SNR"], name)
    assert made.config.prediction_type == "v_prediction"
    assert made.config.rescale_betas_zero_snr
    assert made.config.timestep_spacing == "trailing"
    assert made.config.beta_end == BETAS["beta_end"]


@pytest.mark.parametrize("name", ["default", "ddim", "dpm++", "euler"])
def test_the_bases_own_scheduler_is_not_touched(name: str) -> None:
    own = micro().scheduler
    config, timesteps = dict(own.config), own.timesteps.tolist()
    result = draw(micro(), scheduler=name)
    assert micro().scheduler is own
    assert (dict(own.config), own.timesteps.tolist()) == (config, timesteps)
    assert result.scheduler.startswith({"dpm++": "DPMSolver", "euler": "Euler"}.get(name, "DDIM"))


@pytest.mark.parametrize("name", ["default", "ddim", "dpm++", "euler"])
def test_a_base_draws_the_same_after_being_saved(name: str, tmp_path) -> None:
    # Saving writes default values out, and diffusers treats written values otherwise.
    micro().scheduler.save_pretrained(tmp_path)
    loaded = DDIMScheduler.from_pretrained(tmp_path)
    first = make_scheduler(micro().scheduler, name)
    second = make_scheduler(loaded, name)
    first.set_timesteps(7)
    second.set_timesteps(7)
    assert first.timesteps.tolist() == second.timesteps.tolist()
