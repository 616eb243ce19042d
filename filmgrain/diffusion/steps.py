"""The adapter for networks that were trained on the integer steps 0 ... T - 1 of a table rather than on log-SNR."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .cond import Cond


def step_of(table: Float[Tensor, " T"], logsnr: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """The step of a falling table at which logsnr stands: exact at its levels, linear between, clamped outside."""
    rising = -table.to(logsnr)
    above = torch.searchsorted(rising, -logsnr.contiguous()).clamp(1, len(rising) - 1)
    below = above - 1
    fraction = (-logsnr - rising[below]) / (rising[above] - rising[below])
    return below + fraction.clamp(0, 1)


@dataclass(frozen=True)
class OnSteps:
    """A network F(z, step, cond) as a network F(z, logsnr, cond).

    Sinusoidal embeddings take fractions of a step; a network that looks its step up in a table needs `nearest`.
    """

    network: Callable[[Tensor, Tensor, Cond], Tensor]
    table: Float[Tensor, " T"]
    nearest: bool = False

    def __call__(self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b *chw"]:
        step = step_of(self.table, logsnr)
        return self.network(z, step.round().long() if self.nearest else step, cond)
