"""Learned uncertainty: the loss of every noise level divided by its own size (Karras et al. 2024).

    L = e^(-u(logsnr)) |F - F*|^2 + u(logsnr)

The minimum over u is at u = log E|F - F*|^2 of each level, so that all levels come to weigh the same. Any fixed weight
in front of the square would only be added to u.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .prediction import Prediction


@dataclass(frozen=True, kw_only=True)
class Uncertainty:
    """w = k e^-u, with u(logsnr) learned along: each level is divided by its own loss (Karras et al. 2024)."""

    waves: int = 16  # cosines that u is made of; more of them can follow sharper changes

    def __post_init__(self) -> None:
        if self.waves < 1:
            raise ValueError(f"waves={self.waves} of the uncertainty weighting is no number of cosines; use 1 or more")

    def __call__(self, logsnr: Tensor, prediction: Prediction) -> Tensor:
        """Before training u = 0, which is the weighting simple."""
        return prediction.k(logsnr)

    def build(self) -> "LearnedUncertainty":
        return LearnedUncertainty(self.waves)


class LearnedUncertainty(nn.Module):
    """u(logsnr) = sum_j a_j cos(pi j sigmoid(logsnr / 4)), a = 0 at first."""

    def __init__(self, waves: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.zeros(waves))  # a vector: it does not decay

    def u(self, logsnr: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """The log of the loss to expect. Sums, no matrix product: autocast leaves them in float32."""
        frequency = math.pi * torch.arange(len(self.a), device=logsnr.device)
        return (self.a * torch.cos(frequency * torch.sigmoid(logsnr / 4)[..., None])).sum(-1)

    def forward(self, logsnr: Float[Tensor, "*b"], prediction: Prediction) -> Float[Tensor, "*b"]:
        return prediction.k(logsnr) * torch.exp(-self.u(logsnr))
