"""DPM-Solver++(2M), of order 2 with one evaluation a step (Lu et al. 2022, DPM-Solver++, algorithm 2)."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.process import alpha, sigma
from . import Step, per_sample

ORDER = 2
MULTISTEP = True


def nfe(steps: int) -> int:
    return steps


@torch.no_grad()
def sample(
    denoiser: Denoiser, z: Float[Tensor, "b *chw"], levels: Float[Tensor, " levels"], cond: Cond
) -> Iterator[Step]:
    """z_s = (sigma_s / sigma_t) z_t + alpha_s (1 - e^-h) D,   h = (logsnr_s - logsnr_t) / 2.

    D is x0 in the middle of the step, on the line through the last two estimates: x0 + (h / 2 h_1) (x0 - x0_1), h_1
    the step before. The first step and the one into the data have D = x0, which is ddim.
    """
    at_data = levels.isinf().tolist()
    x0_1, h_1 = z, torch.full_like(levels[0], torch.inf)  # before the first step: D = x0
    for i, (t, s) in enumerate(pairwise(levels)):
        x0 = denoiser(z, per_sample(t, z), cond)
        h = (s - t) / 2
        ahead = x0 if at_data[i + 1] else x0 + h / (2 * h_1) * (x0 - x0_1)
        z = sigma(s) / sigma(t) * z - alpha(s) * torch.expm1(-h) * ahead
        x0_1, h_1 = x0, h
        yield Step(s, z, x0)
