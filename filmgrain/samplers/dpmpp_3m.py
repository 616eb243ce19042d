"""The multistep exponential integrator of order 3, one evaluation a step: DPM-Solver++ with a parabola.

docs/mathematics.md derives it, and the factor 2 that the published form lacks.
"""

from collections import deque
from collections.abc import Iterator
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.process import alpha, sigma
from . import Step, per_sample

ORDER = 3
MULTISTEP = True


def nfe(steps: int) -> int:
    return steps


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    z: Float[Tensor, "b *chw"],
    levels: Float[Tensor, " levels"],
    cond: Cond,
    *,
    published: bool = False,
) -> Iterator[Step]:
    """z_s = (sigma_s / sigma_t) z_t + alpha_s (w_0 x0 + w_1 h x0' + w_2 h^2 x0'' / 2),   h = (logsnr_s - logsnr_t) / 2.

    w_k is the integral of h e^(-h (1 - u)) u^k over u in [0, 1]. x0' and x0'' are the derivatives at t, with respect to
    logsnr / 2, of the parabola through the last three estimates; in the second step of the line through two; in the
    first, and into the data, they are 0. published: halve the last term, as k-diffusion and diffusers do, for order 2.
    """
    at_data = levels.isinf().tolist()
    known: deque[tuple[Tensor, Tensor]] = deque(maxlen=3)  # (level, x0), the newest first
    w_1: Tensor
    for i, (t, s) in enumerate(pairwise(levels)):
        x0 = denoiser(z, per_sample(t, z), cond)
        if i == 1 and not published:  # the first step again, now that x0 at its end is known: order 3 needs 2 there
            z = z + alpha(t) * w_1 * (x0 - known[0][1])
        known.appendleft((t, x0))
        h = (s - t) / 2
        w_0 = -torch.expm1(-h)
        w_1 = 1 - w_0 / h
        w_2 = 1 - 2 * w_1 / h
        z = sigma(s) / sigma(t) * z + alpha(s) * w_0 * x0
        if i > 0 and not at_data[i + 1]:
            slope, curvature = derivatives(known)
            z = z + alpha(s) * (w_1 * h * slope + w_2 * h**2 * curvature / (4 if published else 2))
        yield Step(s, z, x0)


def derivatives(known: deque[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The first and second derivatives at the newest point, with respect to logsnr / 2, of Newton's polynomial."""
    (t, x0), (t_1, x0_1) = known[0], known[1]
    line = (x0 - x0_1) / ((t - t_1) / 2)
    if len(known) < 3:
        return line, torch.zeros_like(line)
    t_2, x0_2 = known[2]
    line_1 = (x0_1 - x0_2) / ((t_1 - t_2) / 2)
    second = (line - line_1) / ((t - t_2) / 2)  # the divided difference: half the second derivative
    return line + (t - t_1) / 2 * second, 2 * second
