"""A network of log-SNR as one of the steps of a table, and back: equal steps of its position of noise.

An unet2d of log-SNR sees sinusoids of p = 1000 (2 / pi) atan(e^(-logsnr / 2)) (blocks/embedding.py), one of steps those
of k. With p = offset + k the former's are the latter's, turned by angles that do not depend on k; and a linear layer is
all that sees them, so that it can be turned instead:

    sin(f p) = sin(f k) cos(f offset) + cos(f k) sin(f offset)
    cos(f p) = cos(f k) cos(f offset) - sin(f k) sin(f offset)
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.schedules import Cosine
from ..diffusion.tables import logsnr_of_betas
from . import Refused
from .diffusers_fields import text

POSITIONS, QUARTER = 1000, math.pi / 2  # from data to pure noise, which is a quarter of a turn
NEAR = 7  # positions: log-SNR 9.0 at one end, where linear_beta has 9.2, and -9.0 at the other


def position_of(logsnr: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    return torch.atan(torch.exp(-logsnr.double() / 2)) / QUARTER * POSITIONS


def logsnr_of(position: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    return -2 * torch.tan(position / POSITIONS * QUARTER).log()


def table_between(logsnr_max: float, logsnr_min: float) -> tuple[float, Float[Tensor, " T"]]:
    """The offset and the table of a schedule with such ends: p = 0.5 ... 999.5, log-SNR being infinite at 0 and 1000.

    A schedule that ends more than NEAR before has fewer steps.
    """
    low, high = position_of(torch.tensor([logsnr_max, logsnr_min])).tolist()
    first, last = low if low > NEAR else 0.5, high if high < POSITIONS - NEAR else POSITIONS - 0.5
    return first, logsnr_of(first + torch.arange(math.floor(last - first) + 1, dtype=torch.float64))


def offset_and_schedule(betas: Any) -> tuple[float, Cosine]:
    """What a table by its betas was made of, if it is one of the above; raises `Refused`."""
    if isinstance(betas, list) and len(betas) > 1 and all(isinstance(beta, float) and 0 < beta < 1 for beta in betas):
        table = logsnr_of_betas(torch.tensor(betas, dtype=torch.float64))
        position = position_of(table)
        if (position.diff() - 1).abs().max() < 1e-3:
            schedule = Cosine(logsnr_min=float(table[-1]), logsnr_max=float(table[0]))
            return float(position[0]), schedule
    raise Refused(
        f"has trained_betas={text(betas)}; ours can express null, and equal steps of angle as it exports them"
    )


def turned(weight: Float[Tensor, "d w"], offset: float, shift: int) -> Float[Tensor, "d w"]:
    """The layer that makes of the sinusoids of k what `weight` makes of those of offset + k."""
    sines, cosines = weight.double().chunk(2, dim=1)
    half = sines.shape[1]
    angle = 10000 ** (-torch.arange(half, dtype=torch.float64) / (half - shift)) * offset
    sin, cos = angle.sin(), angle.cos()
    return torch.cat([sines * cos - cosines * sin, sines * sin + cosines * cos], dim=1).float()
