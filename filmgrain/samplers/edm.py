"""Heun's method with churn: noise is added before each step (Karras et al. 2022, algorithm 2)."""

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.process import alpha
from . import Noise, Step, per_sample

ORDER = None
MULTISTEP = True  # its churn is shared out among the steps of a whole walk
STEEPEST = 20.0  # r_t / r_s of a step: beyond, the correction overshoots by more than it mends


def nfe(steps: int) -> int:
    return 2 * steps - 1


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    z: Float[Tensor, "b *chw"],
    levels: Float[Tensor, " levels"],
    cond: Cond,
    *,
    noise: Noise,
    s_churn: float = 40.0,
    s_min: float = 0.05,
    s_max: float = 50.0,
    s_noise: float = 1.003,
) -> Iterator[Step]:
    """From r_t up to r_up = (1 + g) r_t by sqrt(r_up^2 - r_t^2) s_noise eps, and down to r_s by Heun's method.

    g = min(s_churn / steps, sqrt(2) - 1) where s_min <= r_t <= s_max, else 0; r = sigma / alpha. The defaults are those
    of the paper's ImageNet-64; at s_churn = 0 this is heun.
    """
    if not (s_churn >= 0 and 0 <= s_min <= s_max and s_noise > 0):
        given = f"s_churn={s_churn}, s_min={s_min}, s_max={s_max}, s_noise={s_noise}"
        raise ValueError(f"{given} of the edm sampler: use s_churn >= 0, 0 <= s_min <= s_max and s_noise > 0")
    g = min(s_churn / (len(levels) - 1), math.sqrt(2) - 1)
    churn = [g if s_min <= r <= s_max else 0.0 for r in (-levels / 2).exp().tolist()]
    at_data = levels.isinf().tolist()
    for i, (t, s) in enumerate(pairwise(levels)):
        y = z / alpha(t)
        if churn[i] > 0:
            y = y + math.sqrt((1 + churn[i]) ** 2 - 1) * (-t / 2).exp() * s_noise * noise(i, z)
        t = t - 2 * math.log1p(churn[i])
        r_t, r_s = (-t / 2).exp(), (-s / 2).exp()
        x0 = denoiser(alpha(t) * y, per_sample(t, z), cond)
        d = (y - x0) / r_t
        y = x0 + r_s * d  # Euler's step
        if not at_data[i + 1]:
            x0 = denoiser(alpha(s) * y, per_sample(s, z), cond)
            y = y + (r_s - r_t) * ((y - x0) / r_s - d) / 2
        z = alpha(s) * y
        yield Step(s, z, x0)
