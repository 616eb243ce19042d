"""A schedule whose shape is learned between fixed ends, so that the loss varies least (Kingma et al. 2021).

    logsnr(t) = max - (max - min) (t / 10 + 9 / 10 sum_j p_j S_j(t)),   p = softmax(a)

A monotone network of one hidden layer: each unit S_j is a sigmoid about (j - 1/2) / units, brought to run from 0 at
t = 0 to 1 at t = 1, so that logsnr falls, whatever a is. With a learned schedule every loss is per log-SNR
(objective.py): its mean does not depend on the shape, and the shape is left to make its variance small.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

EVEN = 0.1  # of the fall is even in time, so that no level is passed too slowly to be told from the next one in float32


@dataclass(frozen=True, kw_only=True)
class Learned:
    """Learned between fixed ends, so that the loss varies least (Kingma et al. 2021, Variational Diffusion Models)."""

    logsnr_min: float = -12.0  # at t = 1; not learned
    logsnr_max: float = 13.3  # at t = 0; not learned (13.3 is the paper's for pixels of 8 bits)
    units: int = 32  # sigmoids that the shape is made of

    def __post_init__(self) -> None:
        if not -math.inf < self.logsnr_min < self.logsnr_max < math.inf:
            ends = f"logsnr_min={self.logsnr_min} is not below logsnr_max={self.logsnr_max}"
            raise ValueError(f"{ends}; both are finite, such as -12 and 12")
        if self.units < 1:
            raise ValueError(f"units={self.units} of the learned schedule is no number of sigmoids; use 1 or more")

    def __call__(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """The straight line: what the loss is a mean over, and nearly where learning starts."""
        return self.logsnr_max - (self.logsnr_max - self.logsnr_min) * t

    def build(self) -> "Monotone":
        return Monotone(self)


class Monotone(nn.Module):
    """The schedule with its parameters. It answers in float32, on their device."""

    def __init__(self, config: Learned) -> None:
        super().__init__()
        self.config, self.extent = config, config.logsnr_max - config.logsnr_min
        self.a = nn.Parameter(torch.zeros(config.units))  # a vector: it does not decay

    def forward(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return self.with_slope(t)[0]

    def with_slope(self, t: Float[Tensor, "*b"]) -> tuple[Float[Tensor, "*b"], Float[Tensor, "*b"]]:
        """logsnr(t) and dlogsnr/dt, both of which a loss may be differentiated through."""
        t, p = t.to(self.a), self.a.softmax(0)
        done, pace = self._units(t[..., None])
        done = EVEN * t + (1 - EVEN) * (p * done).sum(-1)  # no matrix product: autocast leaves float32 alone
        pace = EVEN + (1 - EVEN) * (p * pace).sum(-1)
        return self.config.logsnr_max - self.extent * done, -self.extent * pace

    def _units(self, t: Float[Tensor, "*b 1"]) -> tuple[Float[Tensor, "*b units"], Float[Tensor, "*b units"]]:
        """Every S_j(t) and its slope."""
        units = len(self.a)
        centre = (torch.arange(units, device=t.device) + 0.5) / units
        steepness = 2 * units  # neighbours overlap: equal p make nearly a straight line
        first, step, last = (torch.sigmoid(steepness * (time - centre)) for time in (0, t, 1))
        return (step - first) / (last - first), steepness * step * (1 - step) / (last - first)
