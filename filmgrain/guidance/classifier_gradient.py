"""Classifier guidance (Dhariwal & Nichol 2021, Diffusion Models Beat GANs on Image Synthesis, sec. 4)."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.process import alpha_sigma
from .gradients import gradient, watch


@dataclass(frozen=True)
class ClassifierGradient:
    """x0 + scale (sigma^2 / alpha) grad_z log p(y | z). scale = 1 with the true classifier is E[x0 | z, y].

    `log_likelihood(z, logsnr, cond)` is log p(y | z), one value a sample, of the y that is wanted. It must have been
    trained on noisy z. y may be kept in the function, or be read from cond.
    """

    denoiser: Denoiser
    log_likelihood: Callable[[Tensor, Tensor, Cond], Tensor]
    scale: float = 1.0

    def __call__(self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b *chw"]:
        x0 = self.denoiser(z, logsnr, cond)
        with watch(z, logsnr, cond) as seen:
            log_p = self.log_likelihood(seen.z, seen.logsnr, seen.cond)
            if log_p.shape != logsnr.shape:
                raise ValueError(
                    f"log p(y | z) is of shape {tuple(log_p.shape)}; expected one value for each of {len(z)} samples"
                )
            grad = gradient(log_p, seen.z, twice=seen.nested)
        a, s = alpha_sigma(logsnr, z)
        return x0 + self.scale * s**2 / a * grad
