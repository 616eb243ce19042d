"""Reconstruction guidance (Ho et al. 2022, Video Diffusion Models, eq. 7), for any differentiable measurement."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.process import alpha_sigma
from .gradients import gradient, watch
from .known import refuse_known_inside
from .measurements import Measurement, misfit


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """x0 - (scale alpha / 2) grad_z |y - A(x0)|^2. The gradient runs through the network.

    scale is the paper's w_r, which uses 9 and 50 on video; a step that is too large for its level diverges. The paper
    also puts in what is known: Known(Reconstruction(...)).
    """

    denoiser: Denoiser
    measure: Measurement  # A, as in measurements.py
    known: Float[Tensor, "*y"]  # y = A(the truth), of z's batch or of one sample for all
    scale: float = 1.0

    def __post_init__(self) -> None:
        refuse_known_inside(self)

    def __call__(self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b *chw"]:
        with watch(z, logsnr, cond) as seen:
            x0 = self.denoiser(seen.z, seen.logsnr, seen.cond)
            error = misfit(self.known, self.measure(x0), x0).square().sum()
            a, _ = alpha_sigma(seen.logsnr, z)
            x0 = x0 - self.scale * a / 2 * gradient(error, seen.z, twice=seen.nested)
        return x0 if seen.nested else x0.detach()
