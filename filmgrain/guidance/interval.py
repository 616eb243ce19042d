"""Guidance in an interval of noise levels only (Kynkaanniemi et al. 2024, Applying Guidance in a Limited Interval)."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser


@dataclass(frozen=True)
class Interval:
    """`guided` where low <= logsnr <= high, `plain` elsewhere; only the one that is needed is called.

    The paper's interval (sigma_lo, sigma_hi] is logsnr from -2 log sigma_hi to -2 log sigma_lo. They find guidance
    harmful at high noise, where it takes away variety, and of no use at low noise.
    """

    guided: Denoiser
    plain: Denoiser  # such as the denoiser inside `guided`
    low: float = -math.inf  # logsnr
    high: float = math.inf  # logsnr

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"low={self.low} of the guided interval is above high={self.high}; both are log-SNR")

    def __call__(self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b *chw"]:
        within = (self.low <= logsnr) & (logsnr <= self.high)
        asked = within.tolist()  # waits for the device once a call: less than a call that is not needed
        if all(asked):
            return self.guided(z, logsnr, cond)
        if not any(asked):
            return self.plain(z, logsnr, cond)
        inside = within.reshape(-1, *(1,) * (z.ndim - 1))  # samples at different levels, as rk45 has them
        return torch.where(inside, self.guided(z, logsnr, cond), self.plain(z, logsnr, cond))
