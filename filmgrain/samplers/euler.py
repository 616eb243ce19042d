"""Euler's method along the probability flow, of order 1 (Karras et al. 2022, Elucidating the Design Space, sec. 3)."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.process import alpha
from . import Step, per_sample

ORDER = 1
MULTISTEP = False


def nfe(steps: int) -> int:
    return steps


@torch.no_grad()
def sample(
    denoiser: Denoiser, z: Float[Tensor, "b *chw"], levels: Float[Tensor, " levels"], cond: Cond
) -> Iterator[Step]:
    """y_s = y_t + (r_s - r_t) (y_t - x0) / r_t   in y = z / alpha, r = sigma / alpha, where dy/dr = (y - x0) / r.

    The numbers of ddim at eta = 0, in another order of operations.
    """
    for t, s in pairwise(levels):
        x0 = denoiser(z, per_sample(t, z), cond)
        y = z / alpha(t)
        y = x0 + ((t - s) / 2).exp() * (y - x0)  # r_s / r_t = e^((t - s) / 2)
        z = alpha(s) * y
        yield Step(s, z, x0)
