"""Dynamic thresholding: a large guidance scale without saturated pixels (Saharia et al. 2022, Imagen, sec. 2.3)."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser


@dataclass(frozen=True)
class DynamicThreshold:
    """x0 clipped to [-s, s] and divided by s, with s = max(1, the p-quantile of |x0|) of each sample. For pixels."""

    denoiser: Denoiser
    p: float = 0.995  # of the values are left unclipped

    def __post_init__(self) -> None:
        if not 0 < self.p <= 1:
            raise ValueError(f"p={self.p} of the dynamic threshold is no quantile; use 0.995, or another in (0, 1]")

    def __call__(self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b *chw"]:
        x0 = self.denoiser(z, logsnr, cond)
        s = quantile(x0.abs().flatten(1), self.p).clamp(min=1).reshape(-1, *(1,) * (x0.ndim - 1))
        return x0.clamp(-s, s) / s


def quantile(values: Float[Tensor, "b n"], p: float) -> Float[Tensor, " b"]:
    """The p-quantile of each row, linear between two values. torch.quantile refuses rows above 2^24 values."""
    position = (1 - p) * (values.shape[1] - 1)  # from the largest
    above, below = math.floor(position), math.ceil(position)
    falling = values.topk(below + 1, dim=1).values
    return torch.lerp(falling[:, above], falling[:, below], position - above)
