"""SDE-DPM-Solver++(2M): the multistep solver of order 2, with noise (Lu et al. 2022, DPM-Solver++)."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.process import alpha, sigma
from . import Noise, Step, per_sample

ORDER = None
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
    noise: Noise,
    eta: float = 1.0,
) -> Iterator[Step]:
    """z_s = (sigma_s / sigma_t) e^-k z_t + alpha_s (1 - e^(-h-k)) D + sigma_s sqrt(1 - e^-2k) eps,   k = eta^2 h.

    D as in dpmpp_2m, h = (logsnr_s - logsnr_t) / 2. eta in [0, 1] scales the noise of the reverse SDE, as that of ddim
    does: 0 is dpmpp_2m, 1 the paper's sampler. (k-diffusion's eta is the square of this one.)
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta={eta} of the dpmpp_2m_sde sampler is outside [0, 1]; 0 is dpmpp_2m, 1 the paper's")
    at_data = levels.isinf().tolist()
    x0_1, h_1 = z, torch.full_like(levels[0], torch.inf)  # before the first step: D = x0
    for i, (t, s) in enumerate(pairwise(levels)):
        x0 = denoiser(z, per_sample(t, z), cond)
        if at_data[i + 1]:
            z = x0
        else:
            h = (s - t) / 2
            k = eta**2 * h
            ahead = x0 + h / (2 * h_1) * (x0 - x0_1)
            z = sigma(s) / sigma(t) * (-k).exp() * z - alpha(s) * torch.expm1(-h - k) * ahead
            z = z + sigma(s) * (-torch.expm1(-2 * k)).sqrt() * noise(i, z)
            x0_1, h_1 = x0, h
        yield Step(s, z, x0)
