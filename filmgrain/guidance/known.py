"""Known values put into x0: the replacement method (Song et al. 2021, Score-Based Generative Modeling, sec. 5)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from .gradients import within


@dataclass(frozen=True, eq=False)
class Known:
    """x0, with the known values where the mask is true. Both broadcast to x0.

    No sampler has to help: with the right x0 there, z follows q(z | known) by itself, exactly so by ancestral sampling
    with gamma = 0. The rest is told of it only by what the network sees in z, which is too little: reconstruction.py
    adds what is missing. Outermost of all wrappers: another would change what is known, or find no gradient there.
    """

    denoiser: Denoiser
    known: Float[Tensor, "*known"]
    mask: Bool[Tensor, "*mask"]

    def __call__(self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b *chw"]:
        self._check(z)
        return torch.where(self.mask, self.known.to(z), self.denoiser(z, logsnr, cond))

    def _check(self, z: Tensor) -> None:
        for name, tensor in (("known values are", self.known), ("mask of known values is", self.mask)):
            fits = [ours in (1, theirs) for ours, theirs in zip(tensor.shape[::-1], z.shape[::-1], strict=False)]
            if tensor.ndim > z.ndim or not all(fits):
                shape, expected = tuple(tensor.shape), tuple(z.shape)
                raise ValueError(
                    f"the {name} of shape {shape}, which does not broadcast to x0 of {expected}; give one that does"
                )


def refuse_known_inside(guidance: object) -> None:
    """Where the values are known x0 does not depend on z, and its gradient is zero: guidance by it would do nothing."""
    if any(isinstance(inner, Known) for inner in within(guidance)):
        name = type(guidance).__name__
        raise ValueError(f"{name} around Known has no gradient where values are known; use Known({name}(...))")
