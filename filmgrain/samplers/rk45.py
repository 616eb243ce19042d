"""Adaptive Runge-Kutta of order 5 along the probability flow (Dormand & Prince 1980), each sample at its own pace."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.process import alpha_sigma
from . import Step, per_sample

ORDER = 5  # of a step; the error at the end is set by rtol and atol, not by the grid
MULTISTEP = False
NARROWEST = 0.01  # in logsnr: such a step is taken whatever its error, or noise in a network would stop the walk
NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),  # the step of order 5
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)  # less the step of order 4


def nfe(steps: int) -> None:
    """Known only when the steps have been taken."""


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    z: Float[Tensor, "b *chw"],
    levels: Float[Tensor, " levels"],
    cond: Cond,
    *,
    rtol: float = 1e-4,
    atol: float = 1e-4,
) -> Iterator[Step]:
    """dz/dlogsnr = (alpha / 2) (x0 - alpha z) from each level to the next; into the data, z = x0.

    In every step the root mean square over a sample of error / (atol + rtol |z|) is at most 1. Each sample has steps of
    its own, and so does not depend on its batch; the slowest of a batch decides how often the denoiser is called.
    """
    if not (rtol >= 0 and atol > 0):
        raise ValueError(f"rtol={rtol}, atol={atol} of the rk45 sampler: use rtol >= 0 and atol > 0, such as 1e-4")
    at_data = levels.isinf().tolist()
    at = per_sample(levels[0], z)  # where each sample stands
    width = torch.ones_like(at)  # of the step that each tries next, in logsnr
    x0 = denoiser(z, at, cond)
    for i, s in enumerate(levels[1:], start=1):
        while not at_data[i] and (at < s).any():  # every step asks the device, as its length depends on the error
            h = torch.minimum(width, s - at)
            z_s, x0_s, error = step(denoiser, z, x0, at, h, cond)
            ratio = (error / (atol + rtol * torch.maximum(z.abs(), z_s.abs()))).square().flatten(1).mean(1).sqrt()
            taken = ~(ratio > 1) | (h <= NARROWEST)  # also where the ratio is NaN, which is not to be tried for ever
            z, x0 = (torch.where(over(taken, z), new, old) for new, old in ((z_s, z), (x0_s, x0)))
            at = torch.where(taken, torch.where(h < s - at, at + h, s), at)
            next_width = (h * (0.9 * ratio**-0.2).clamp(0.2, 5)).clamp(min=NARROWEST)
            width = torch.where(taken, torch.maximum(width, next_width), next_width)
        z = x0 if at_data[i] else z
        yield Step(s, z, x0)


def step(denoiser: Denoiser, z: Tensor, x0: Tensor, at: Tensor, h: Tensor, cond: Cond) -> tuple[Tensor, Tensor, Tensor]:
    """z after a step of length h, the estimate there, and the difference from the step of order 4."""
    slopes = [slope(z, x0, at)]
    for node, stage in zip(NODES, STAGES, strict=True):
        level = at + node * h
        z_s = z + over(h, z) * sum(a * k for a, k in zip(stage, slopes, strict=True))
        x0_s = denoiser(z_s, level, cond)
        slopes.append(slope(z_s, x0_s, level))
    return z_s, x0_s, over(h, z) * sum(a * k for a, k in zip(ERROR, slopes, strict=True))


def slope(z: Tensor, x0: Tensor, level: Tensor) -> Tensor:
    a, _ = alpha_sigma(level, z)
    return a / 2 * (x0 - a * z)


def over(values: Tensor, z: Tensor) -> Tensor:
    """One value a sample, shaped (b, 1, ..., 1)."""
    return values.reshape(-1, *(1,) * (z.ndim - 1))
