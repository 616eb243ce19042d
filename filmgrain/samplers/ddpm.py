"""The chain of T steps of a DDPM (Ho et al. 2020, Denoising Diffusion Probabilistic Models, algorithm 2)."""

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
VARIANCES = ("fixedsmall", "fixedlarge")


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
    variance: str = "fixedsmall",
) -> Iterator[Step]:
    """z_s = mean(q(z_s | z_t, x0_hat)) + sqrt(v) eps, and no eps in the last step, into the data.

    variance: v is that of q(z_s | z_t, x0) ("fixedsmall", the posterior's) or of q(z_t | z_s) ("fixedlarge", beta_t).
    On the levels of a table this is the paper's algorithm, step for step; on any other grid it is its coarser chain,
    which is ancestral sampling with gamma = 0 or 1.
    """
    if variance not in VARIANCES:
        raise ValueError(f'variance="{variance}" of the ddpm sampler is unknown; use one of {", ".join(VARIANCES)}')
    at_data = levels.isinf().tolist()
    for i, (t, s) in enumerate(pairwise(levels)):
        x0 = denoiser(z, per_sample(t, z), cond)
        z = posterior_mean(z, x0, t, s)
        if not at_data[i + 1]:
            v = renewed(t, s) * sigma(s if variance == "fixedsmall" else t) ** 2
            z = z + v.sqrt() * noise(i, z)
        yield Step(s, z, x0)
