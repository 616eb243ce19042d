"""Heun's method along the probability flow, of order 2 (Karras et al. 2022, algorithm 1, in their coordinates)."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.process import alpha
from . import Step, per_sample

ORDER = 2
MULTISTEP = False
STEEPEST = 20.0  # r_t / r_s of a step: beyond, the correction overshoots by more than it mends


def nfe(steps: int) -> int:
    return 2 * steps - 1  # the step into the data is Euler's: there is no slope at r = 0


@torch.no_grad()
def sample(
    denoiser: Denoiser, z: Float[Tensor, "b *chw"], levels: Float[Tensor, " levels"], cond: Cond
) -> Iterator[Step]:
    """y_s = y_t + (r_s - r_t) (d_t + d_s) / 2,   d = (y - x0) / r,   in y = z / alpha, r = sigma / alpha.

    d_s is the slope where Euler's step arrives. The difference between the two estimates counts (r_t / r_s - 1) / 2
    times in y_s, so that r must not fall by a large factor in one step, as on coarse grids from logsnr = -20 it does.
    """
    at_data = levels.isinf().tolist()
    for i, (t, s) in enumerate(pairwise(levels)):
        r_t, r_s = (-t / 2).exp(), (-s / 2).exp()
        x0 = denoiser(z, per_sample(t, z), cond)
        d = (z / alpha(t) - x0) / r_t
        y = x0 + r_s * d  # Euler's step
        if not at_data[i + 1]:
            x0 = denoiser(alpha(s) * y, per_sample(s, z), cond)
            y = y + (r_s - r_t) * ((y - x0) / r_s - d) / 2
        z = alpha(s) * y
        yield Step(s, z, x0)
