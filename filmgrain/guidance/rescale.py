"""Guidance without over-exposure (Lin et al. 2024, Common Diffusion Noise Schedules and Sample Steps are Flawed)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from .classifier_free import ClassifierFree


@dataclass(frozen=True)
class Rescale:
    """phi (std(x0_cond) / std(x0)) x0 + (1 - phi) x0, with x0 the guided one and the std of each sample (sec. 3.4).

    A large scale widens the range of x0; phi = 1 takes all of that back, 0 nothing. The paper rescales the network's
    output, v; here it is x0, which does not depend on the prediction. No call is added to those of the guidance.
    """

    guided: ClassifierFree
    phi: float = 0.7

    def __post_init__(self) -> None:
        if not 0 <= self.phi <= 1:
            raise ValueError(f"phi={self.phi} of the rescaled guidance is outside [0, 1]; the paper uses 0.7")

    def __call__(self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b *chw"]:
        if self.guided.scale == 1:
            return self.guided(z, logsnr, cond)
        plain, reference = self.guided.pair(z, logsnr, cond)
        x0 = reference + self.guided.scale * (plain - reference)
        before, after = (x.flatten(1).std(dim=1, correction=0) for x in (plain, x0))
        ratio = torch.where(after > 0, before / after, 1)  # an even x0 has no range to take back
        return (self.phi * ratio + 1 - self.phi).reshape(-1, *(1,) * (x0.ndim - 1)) * x0
