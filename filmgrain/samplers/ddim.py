"""DDIM: deterministic at eta = 0, of order 1 (Song et al. 2021, Denoising Diffusion Implicit Models, eq. 12 and 16)."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.process import alpha, renewed, sigma
from . import Noise, Step, per_sample

ORDER = 1  # at eta = 0
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
    noise: Noise | None = None,
    eta: float = 0.0,
) -> Iterator[Step]:
    """z_s = alpha_s x0 + sqrt(sigma_s^2 - eta^2 v) eps_hat + eta sqrt(v) eps, v the variance of q(z_s | z_t, x0).

    eta in [0, 1]: 0 follows the probability flow, 1 is ancestral sampling with gamma = 0. eta > 0 needs `noise`.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta={eta} of the ddim sampler is outside [0, 1]; 0 is deterministic, 1 is ancestral")
    if eta > 0 and noise is None:
        raise ValueError(f"eta={eta} of the ddim sampler draws noise, but no source of noise was given")
    at_data = levels.isinf().tolist()
    for i, (t, s) in enumerate(pairwise(levels)):
        x0 = denoiser(z, per_sample(t, z), cond)
        eps = (z - alpha(t) * x0) / sigma(t)
        v = eta**2 * renewed(t, s) * sigma(s) ** 2
        z = alpha(s) * x0 + (sigma(s) ** 2 - v).sqrt() * eps
        if noise is not None and eta > 0 and not at_data[i + 1]:
            z = z + v.sqrt() * noise(i, z)
        yield Step(s, z, x0)


@torch.no_grad()
def invert(
    denoiser: Denoiser, z: Float[Tensor, "b *chw"], levels: Float[Tensor, " levels"], cond: Cond
) -> Iterator[Step]:
    """DDIM backwards, from the data to the noise that `sample` (eta = 0) brings back: levels fall, of order 1 too.

        z_s = alpha_s x0 + sigma_s eps_hat,   x0 and eps_hat those at t, now nearer to the data than s

    The first level is +inf, where z is x0, or finite. Out of +inf no call is made: the flow leaves the data with slope
    d(z / alpha) / d(sigma / alpha) = 0, and so z_s = alpha_s x0.
    """
    if not (levels[:-1] > levels[1:]).all():
        raise ValueError(f"levels={levels.tolist()} do not fall; to invert, give them from the data to noise")
    at_data = levels.isinf().tolist()
    for i, (t, s) in enumerate(pairwise(levels)):
        x0 = z if at_data[i] else denoiser(z, per_sample(t, z), cond)
        z = alpha(s) * x0 if at_data[i] else alpha(s) * x0 + sigma(s) / sigma(t) * (z - alpha(t) * x0)
        yield Step(s, z, x0)
