"""The other side: diffusers' schedulers on a small function in place of a network, and ours on the same numbers.

Where conventions differ, and what is done about it:

- Their schedulers are given the network's output, ours a denoiser: here EPS (or V, X0) of the same function, on the
  integer steps of the same table (OnSteps).
- Their table is the running product of 1 - beta in float32. Both sides take those numbers; what is made of them is
  made in float64, since `1 - alpha_bar_t / alpha_bar_s` in float32 keeps three digits of a beta of 1e-4. The solvers of
  DPM and Euler cast their samples to float32, whatever they are given.
- Euler's and Heun's schedulers hold y = z / alpha = x0 + r eps, r = sigma / alpha = e^(-logsnr / 2), which they call
  sigma, and divide the network's input by sqrt(1 + r^2). Heun's has two calls of `step` for one of ours.
- Levels go as theirs do: ours walk -2 log r, or the logit of alpha_bar at their timesteps. A final r of 0
  (`final_sigmas_type="zero"`, the rule) is our +inf, where both take the step of first order; with "sigma_min" both end
  at the first level of the table.
- Noise is drawn from equal generators, in the order in which steps ask for it.
"""

import copy
import importlib
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.prediction import PREDICTIONS
from filmgrain.diffusion.process import alpha, alpha_sigma
from filmgrain.diffusion.steps import OnSteps
from filmgrain.rooms import find

F64 = torch.float64
LINEAR = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02}
MODULES = {
    "DDPMScheduler": "ddpm",
    "DDIMScheduler": "ddim",
    "DPMSolverMultistepScheduler": "dpmsolver_multistep",
    "UniPCMultistepScheduler": "unipc_multistep",
    "HeunDiscreteScheduler": "heun_discrete",
    "EulerDiscreteScheduler": "euler_discrete",
    "EulerAncestralDiscreteScheduler": "euler_ancestral_discrete",
}
PREDICTION_TYPES = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}


def scheduler(name: str, **config: Any) -> Any:
    """One of theirs, imported when it is asked for; skips the test where diffusers is not installed."""
    pytest.importorskip("diffusers")
    module = importlib.import_module(f"diffusers.schedulers.scheduling_{MODULES[name]}")
    return getattr(module, name)(**LINEAR | config)


def network(z: Tensor, step: Tensor, cond: Cond | None = None, prediction: str = "eps") -> Tensor:
    """As good as for data of unit variance, but for a wave: F of x0_hat = alpha z - sigma sin(2 z) / 4."""
    t = step.to(z).reshape(-1, *(1,) * (z.ndim - 1)) + 1
    alpha_bar = torch.exp(-1e-4 * t - 1e-5 * t**2)
    a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    x0 = a * z - s * torch.sin(2 * z) / 4
    eps = s * z + a * torch.sin(2 * z) / 4
    return {"eps": eps, "x0": x0, "v": a * eps - s * x0}[prediction]


class Walk(NamedTuple):
    levels: Tensor  # that both sides walk
    theirs: list[Tensor]  # after each step, as z
    ours: list[Tensor]

    def apart(self) -> float:
        """The largest difference of any element after any step, over the largest element."""
        pairs = zip(self.theirs, self.ours, strict=True)
        return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


class Run:
    """A scheduler of theirs, of `steps` steps, and the levels of those."""

    def __init__(self, name: str, steps: int, *, double: bool = True, **config: Any):
        self.scheduler = scheduler(name, **config)
        self.space_of_y = name.startswith(("Euler", "Heun"))
        self.dtype = F64 if double else torch.float32
        self.scheduler.set_timesteps(steps)
        self.table = self.scheduler.alphas_cumprod.double().logit()
        if hasattr(self.scheduler, "sigmas"):
            self.levels = -2 * self.scheduler.sigmas.double().unique_consecutive().log()
            self.table = (
                -2 * ((1 - self.scheduler.alphas_cumprod) / self.scheduler.alphas_cumprod).sqrt().double().log()
            )
        else:
            self.levels = torch.cat([self.table[self.scheduler.timesteps], torch.tensor([math.inf], dtype=F64)])
        for name in ("alphas_cumprod", "one", "final_alpha_cumprod", "sigmas") if double else ():
            if hasattr(self.scheduler, name):
                setattr(self.scheduler, name, getattr(self.scheduler, name).double())

    def walk(
        self,
        sampler: str,
        options: dict[str, Any] | None = None,
        *,
        noise: torch.dtype | None = None,
        step: dict[str, Any] | None = None,
        prediction: str = "eps",
        guide: Callable[[Any], Any] = lambda denoiser: denoiser,
    ) -> Walk:
        """Both sides from one start. noise: the dtype it is drawn in; step: what else their step is given."""
        z = torch.randn(2, 3, 4, 4, dtype=F64, generator=torch.Generator().manual_seed(0)).to(self.dtype)
        theirs = self._theirs(z, noise, step or {}, prediction)
        ours = self._ours(z, sampler, options or {}, noise, prediction, guide)
        return Walk(self.levels, theirs, ours)

    def _theirs(self, z: Tensor, noise: torch.dtype | None, step: dict[str, Any], prediction: str) -> list[Tensor]:
        rng, y, reached = torch.Generator().manual_seed(5), z, []
        scheduler = copy.deepcopy(self.scheduler)  # it counts its steps
        if self.space_of_y:
            y = z / alpha(self.levels[0]).to(z)
        for t in scheduler.timesteps:
            given = dict(step)
            if noise and "eta" in step:  # ddim takes the noise itself
                given["variance_noise"] = torch.randn(z.shape, generator=rng, dtype=noise)
            elif noise:
                given["generator"] = rng
            F = network(scheduler.scale_model_input(y, t), t, prediction=prediction)
            y = scheduler.step(F, t, y, **given).prev_sample
            reached.append(y)
        if len(reached) == 2 * len(self.levels) - 3:  # of Heun, the second call of each step, and the last
            reached = [*reached[1::2], reached[-1]]
        return [
            y * alpha(level).to(y) if self.space_of_y else y for y, level in zip(reached, self.levels[1:], strict=True)
        ]

    def _ours(
        self,
        z: Tensor,
        sampler: str,
        options: dict[str, Any],
        noise: torch.dtype | None,
        prediction: str,
        guide: Callable[[Any], Any],
    ) -> list[Tensor]:
        def F(z: Tensor, step: Tensor, cond: Cond) -> Tensor:
            return network(z, step, cond, prediction)

        def denoiser(z: Tensor, logsnr: Tensor, cond: Cond) -> Tensor:
            return PREDICTIONS[prediction].to_x0(on_steps(z, logsnr, cond), z, *alpha_sigma(logsnr, z))

        on_steps, rng = OnSteps(F, self.table), torch.Generator().manual_seed(5)
        if noise:
            options = options | {"noise": lambda i, like: torch.randn(like.shape, generator=rng, dtype=noise).to(like)}
        steps = find("samplers", sampler).sample(guide(denoiser), z, self.levels.to(z), Cond(), **options)
        return [step.z for step in steps]
