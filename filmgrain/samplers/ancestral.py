"""Ancestral sampling, its variance between the two bounds (Ho et al. 2022, Video Diffusion Models, sec. 2)."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.process import posterior_mean, renewed, sigma
from . import Noise, Step, per_sample

ORDER = None
MULTISTEP = False


def nfe(steps: int) -> int:
    return steps


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    z: Float[Tensor, "b *chw"],
    levels: Float[Tensor, " levels"],
    cond: Cond,
    *,
    noise: Noise,
    gamma: float = 0.3,
) -> Iterator[Step]:
    """z_s = mean(q(z_s | z_t, x0_hat)) + sqrt(v_s^(1 - gamma) v_t^gamma) eps.

    v_s = renewed sigma_s^2 is the posterior's own variance (gamma = 0, DDPM's 'fixed small'); v_t = renewed sigma_t^2
    is beta_t (gamma = 1, 'fixed large'). gamma in [0, 1] is an exponent. No noise enters the data.
    """
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma={gamma} of the ancestral sampler is outside [0, 1]; the paper uses 0, 0.1 or 0.3")
    at_data = levels.isinf().tolist()
    for i, (t, s) in enumerate(pairwise(levels)):
        x0 = denoiser(z, per_sample(t, z), cond)
        z = posterior_mean(z, x0, t, s)
        if not at_data[i + 1]:
            v_s, v_t = renewed(t, s) * sigma(s) ** 2, renewed(t, s) * sigma(t) ** 2
            z = z + (v_s ** (1 - gamma) * v_t**gamma).sqrt() * noise(i, z)
        yield Step(s, z, x0)
