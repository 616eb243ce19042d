"""Classifier-free guidance (Ho & Salimans 2022), and whatever else extrapolates from one denoiser past another."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond, stack
from ..diffusion.denoiser import Denoiser


@dataclass(frozen=True)
class Always:
    """The denoiser under `cond`, whatever condition is given; with the null condition, the unconditional one."""

    denoiser: Denoiser
    cond: Cond  # of z's batch, or of one sample for all

    def __call__(self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b *chw"]:
        return self.denoiser(z, logsnr, self.cond.expand(len(z)))


@dataclass(frozen=True)
class ClassifierFree:
    """x0 = reference + scale (x0_cond - reference). The paper's w is scale - 1; scale = 1 asks no reference.

    The reference decides what it is:
        Always(model, null)          classifier-free guidance
        Always(model, negative)      the same, away from a negative condition
        a smaller or younger model   autoguidance (Karras et al. 2024, Guiding a Diffusion Model with a Bad Version of
                                     Itself)
    In terms of eps it is the same equation, as z is the same for both.
    """

    denoiser: Denoiser
    reference: Denoiser
    scale: float
    doubled: bool = False  # both in one call of twice the batch: faster where there is room; of Always(denoiser, ...)

    def __post_init__(self) -> None:
        same = isinstance(self.reference, Always) and self.reference.denoiser is self.denoiser
        if self.doubled and not same:
            raise ValueError("doubled=True needs the reference Always(denoiser, cond) of the same denoiser; use False")

    def __call__(self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b *chw"]:
        if self.scale == 1:
            return self.denoiser(z, logsnr, cond)
        x0, reference = self.pair(z, logsnr, cond)
        return reference + self.scale * (x0 - reference)

    def pair(
        self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond
    ) -> tuple[Float[Tensor, "b *chw"], Float[Tensor, "b *chw"]]:
        """x0_cond and the reference."""
        if self.doubled and isinstance(self.reference, Always):
            both = stack([cond.expand(len(z)), self.reference.cond.expand(len(z))])
            x0, reference = self.denoiser(torch.cat([z, z]), torch.cat([logsnr, logsnr]), both).chunk(2)
            return x0, reference
        return self.denoiser(z, logsnr, cond), self.reference(z, logsnr, cond)
