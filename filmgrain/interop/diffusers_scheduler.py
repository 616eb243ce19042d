"""diffusers' DDPMScheduler and DDIMScheduler, and our prediction, schedule and sampling."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.schedules import Schedule
from ..diffusion.tables import CosineBeta, Discrete, LinearBeta, ScaledLinearBeta
from ..model import Config
from . import Refused
from .diffusers_fields import SCHEDULER

PREDICTIONS = {"epsilon": "eps", "sample": "x0", "v_prediction": "v"}
VARIANCES = {"fixed_small": "fixedsmall", "fixed_small_log": "fixedsmall", "fixed_large": "fixedlarge"}
CHAIN = ("ddpm", "ancestral", "langevin", "repaint")  # samplers nearest to DDPMScheduler; of the rest, DDIMScheduler is
STEPS = 50  # of DDIMPipeline, unless told otherwise


def model_config(fields: dict[str, Any], schedule: Schedule | None = None) -> Config:
    """Prediction and schedule, which is the given one or that of the fields. Raises `Refused`."""
    try:
        return Config(prediction=PREDICTIONS[fields["prediction_type"]], schedule=schedule or _schedule(fields))
    except ValueError as error:
        raise Refused(f"is a scheduler that ours cannot express: {error}") from None


def _schedule(fields: dict[str, Any]) -> Schedule:
    common = {"steps": fields["num_train_timesteps"], "zero_terminal_snr": fields["rescale_betas_zero_snr"]}
    if fields["beta_schedule"] == "squaredcos_cap_v2":
        return CosineBeta(**common, beta_max=0.999)
    kind = LinearBeta if fields["beta_schedule"] == "linear" else ScaledLinearBeta
    return kind(**common, beta_first=fields["beta_start"], beta_last=fields["beta_end"], scale=False)


def sampling(fields: dict[str, Any]) -> dict[str, Any]:
    """What the recipe's [sample] becomes: what the pipeline of such a scheduler does by itself."""
    found: dict[str, Any] = {"grid": fields["timestep_spacing"] if fields["trained_betas"] is None else "uniform"}
    found["threshold"] = "static" if fields["clip_sample"] else "none"
    if fields["_class_name"] == "DDPMScheduler":
        variance = VARIANCES[fields["variance_type"]]
        return found | {"sampler": "ddpm", "steps": fields["num_train_timesteps"], "options": {"variance": variance}}
    return found | {"sampler": "ddim", "steps": min(STEPS, fields["num_train_timesteps"])}


def fields_of(
    prediction: str, schedule: object, table: Float[Tensor, " T"], how: dict[str, Any], clips: bool
) -> dict[str, Any]:
    """The fields of the scheduler nearest to the sampling of `how`, on the levels of the table.

    schedule: of which the table is, where diffusers may have it by name. clips: whether x0 has a range at all.
    Raises ValueError for a prediction that it has not.
    """
    theirs = {ours: name for name, ours in PREDICTIONS.items()}
    if prediction not in theirs:
        raise ValueError(f'diffusers\' DDPM and DDIM know no prediction="{prediction}"; train with v, eps or x0')
    kind = "DDPMScheduler" if how.get("sampler") in CHAIN else "DDIMScheduler"
    only = {"DDPMScheduler": "set_alpha_to_one", "DDIMScheduler": "variance_type"}[kind]
    common = {name: field.default for name, field in SCHEDULER.items() if name != only}
    common |= {
        "_class_name": kind,
        "prediction_type": theirs[prediction],
        "clip_sample": clips and how.get("threshold", "static") != "none",
        "timestep_spacing": "leading" if how.get("grid") == "leading" else "trailing",
    }
    if kind == "DDPMScheduler" and how.get("options", {}).get("variance") == "fixedlarge":
        common["variance_type"] = "fixed_large"
    return common | {"num_train_timesteps": len(table)} | (_named(schedule, table) or {"trained_betas": _betas(table)})


def _named(schedule: object, table: Float[Tensor, " T"]) -> dict[str, Any] | None:
    """The table as one that diffusers has a name for, if it is one."""
    match schedule:
        case LinearBeta() | ScaledLinearBeta():
            factor = 1000 / schedule.steps if schedule.scale else 1
            name = "linear" if isinstance(schedule, LinearBeta) else "scaled_linear"
            ends = {"beta_start": schedule.beta_first * factor, "beta_end": schedule.beta_last * factor}
            named = {"beta_schedule": name, **ends}
        case CosineBeta():
            named = {"beta_schedule": "squaredcos_cap_v2"}
        case _:
            return None
    try:
        same = _schedule({"num_train_timesteps": len(table), "rescale_betas_zero_snr": False, **named})
    except ValueError:  # betas of 1 and more, which ours are cut below
        return None
    assert isinstance(same, Discrete)
    return named if torch.allclose(same.table, table, rtol=0, atol=1e-9) else None


def _betas(table: Float[Tensor, " T"]) -> list[float]:
    """beta_k = 1 - alpha_bar_k / alpha_bar_(k - 1)"""
    log_alpha_bar = torch.nn.functional.logsigmoid(table.double())
    return [*(-torch.expm1(log_alpha_bar.diff(prepend=log_alpha_bar.new_zeros(1)))).tolist()]
