"""A finite set of points: the best denoiser of a training set, which knows nothing else."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond


@dataclass(frozen=True, eq=False)
class Empirical:
    """x0 is one of m points, each as likely (Karras et al. 2022, appendix B.3).

        E[x0 | z] = sum_i softmax_i(-|z - alpha x_i|^2 / (2 sigma^2)) x_i

    A network that reached this minimum of its training loss would give back its training set, and nothing new.
    """

    data: Float[Tensor, "m *chw"]

    def __call__(self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b *chw"]:
        level = logsnr.to(z)[:, None]
        points = self.data.to(z).flatten(1)
        y = z.flatten(1) / level.sigmoid().sqrt()  # |z - alpha x|^2 / sigma^2 = e^logsnr |y - x|^2
        apart = (y[:, None] - points).square().sum(-1)  # b m
        return ((-0.5 * level.exp() * apart).softmax(1) @ points).reshape(z.shape)

    def draw(self, count: int, generator: torch.Generator | None = None) -> Float[Tensor, "count *chw"]:
        return self.data[torch.randint(len(self.data), (count,), generator=generator)]
