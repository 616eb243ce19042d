"""Importance sampling of times by the loss that was seen there, without a change of the objective's mean.

Time is cut into bins; bin i is drawn with p_i in proportion to sqrt(E[loss^2]), which makes the variance of the mean
least, and its draws weigh 1 / (bins p_i) (Nichol & Dhariwal 2021, sec. 3.3).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn

from .draw import Draw


@dataclass(frozen=True, kw_only=True)
class Importance:
    """More draws where the loss was large of late, each weighing less: the same mean at a smaller variance."""

    bins: int = 32  # of time, equal
    warmup: int = 10  # draws of every bin before their losses are trusted; until then all are drawn alike
    memory: int = 100  # draws of a bin over which its loss is averaged
    floor: float = 0.1  # part of the draws that stays uniform; no draw weighs more than 1 / floor

    def __post_init__(self) -> None:
        if self.bins < 2:
            raise ValueError(f"bins={self.bins} of the importance times is nothing to choose from; use 2 or more")
        if not 1 <= self.warmup <= self.memory:
            raise ValueError(f"warmup={self.warmup} of the importance times is not from 1 to memory={self.memory}")
        if not 0 < self.floor <= 1:
            raise ValueError(f"floor={self.floor} of the importance times is not above 0 and at most 1; use 0.1")

    def __call__(self, draw: Draw) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        """As long as nothing has been seen: uniform."""
        t = draw.times()
        return t, torch.ones_like(t)

    def build(self) -> "LossAware":
        return LossAware(self)


class LossAware(nn.Module):
    """Remembers the mean square of the loss in each bin; its memory is two buffers, saved with the model."""

    square: Float[Tensor, " bins"]
    seen: Float[Tensor, " bins"]

    def __init__(self, config: Importance) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("square", torch.zeros(config.bins))  # running mean of loss^2
        self.register_buffer("seen", torch.zeros(config.bins))  # draws in that mean, up to `memory`

    def probabilities(self) -> Float[Tensor, " bins"]:
        """p of each bin; float64, on the CPU, so that on a GPU the host waits here once a batch."""
        size, bins = self.square.cpu().double().sqrt(), self.config.bins
        if self.seen.min() < self.config.warmup or not size.any():
            return torch.full_like(size, 1 / bins)
        return (1 - self.config.floor) * size / size.sum() + self.config.floor / bins

    def forward(self, draw: Draw) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        p = self.probabilities()
        upper, u = p.cumsum(0), draw.times()
        i = torch.searchsorted(upper, u, right=True).clamp(max=len(p) - 1)
        t = (i + (u - upper[i] + p[i]) / p[i]) / len(p)  # the quantile of u
        return t.clamp(0, 1), 1 / (len(p) * p[i])

    @torch.no_grad()
    def observe(self, t: Float[Tensor, " b"], losses: Float[Tensor, " b"]) -> None:
        """Takes in the losses, unweighted by this class, of a batch at times t."""
        i = (t.to(losses) * self.config.bins).long().clamp(max=self.config.bins - 1)
        of = nn.functional.one_hot(i, self.config.bins).to(losses)  # sums over rows: deterministic on a GPU too
        sums = torch.stack([of.sum(0), (of * losses.square()[:, None]).sum(0)])
        if distributed.is_available() and distributed.is_initialized():  # the parts of one batch: all remember the same
            distributed.all_reduce(sums)
        count, total = sums
        self.seen.add_(count).clamp_(max=self.config.memory)
        pace = (count / self.seen.clamp(min=1)).clamp(max=1)
        self.square.lerp_(total / count.clamp(min=1), pace)
