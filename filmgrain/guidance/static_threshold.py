"""Static thresholding: x0 stays in the range of pixels (Ho et al. 2020, in their code; Saharia et al. 2022)."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser


@dataclass(frozen=True)
class StaticThreshold:
    """Clips x0 to [-limit, limit] before the sampler's update. For pixels: at logsnr = -20 an error of an eps-network
    is multiplied by 22,026 in x0."""

    denoiser: Denoiser
    limit: float = 1.0

    def __post_init__(self) -> None:
        if not self.limit > 0:
            raise ValueError(f"limit={self.limit} of the static threshold is not positive; use 1, the range of pixels")

    def __call__(self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b *chw"]:
        return self.denoiser(z, logsnr, cond).clamp(-self.limit, self.limit)
