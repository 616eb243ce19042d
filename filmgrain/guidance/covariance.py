"""Guidance by the posterior's own covariance: what a measurement of a part says of the rest. Exact on Gaussian data.

Tweedie's second formula is Cov[x0 | z] = (sigma^2 / alpha) J with J = dx0/dz (Meng et al. 2021). If x0 given z is
taken to be Gaussian, the mean under y = A x0 + noise n is that of Gaussian regression, and sigma^2 / alpha cancels:

    x0 + J A^T (A J A^T + n^2 alpha / sigma^2)^-1 (y - A x0)

Song et al. 2023 (Pseudoinverse-Guided Diffusion Models) have a multiple of I for Cov[x0 | z] inside of the inverse.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.process import alpha_sigma
from .gradients import gradient, watch
from .known import refuse_known_inside
from .measurements import Measurement, misfit


@dataclass(frozen=True, eq=False)
class Covariance:
    """The denoiser given the measurement, by conjugate gradients. Each iteration is one pass back through the network.

    A measurement that is not linear is replaced by its tangent at x0. The J of a trained network is not quite symmetric
    and positive, as a covariance's is, and where it is small it is mostly error: noise damps that, and so do few
    iterations. A noise of 0 is for denoisers that are exact. A threshold stands outside: J is zero where it clips.
    """

    denoiser: Denoiser
    measure: Measurement  # A, as in measurements.py
    known: Float[Tensor, "*y"]  # y, of z's batch or of one sample for all
    noise: float = 0.1  # n, the standard deviation of y around A(the truth), in units of x0
    iterations: int = 5  # at most; an exact denoiser of Gaussian data needs as many as y has values, and mostly fewer
    tolerance: float = 1e-5  # of what is left of y - A x0, relative; then a sample is done

    def __post_init__(self) -> None:
        if self.noise < 0 or self.iterations < 1:
            given = f"noise={self.noise}, iterations={self.iterations}"
            raise ValueError(f"{given} of covariance guidance; use a noise of 0 or more and 1 iteration or more")
        refuse_known_inside(self)

    def __call__(self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b *chw"]:
        with watch(z, logsnr, cond) as seen:
            x0 = self.denoiser(seen.z, seen.logsnr, seen.cond)
            measured = self.measure(x0)
            error = misfit(self.known, measured, x0)
            a, s = alpha_sigma(seen.logsnr, error)

            any_u = torch.zeros_like(error).requires_grad_()
            at_x0 = gradient(measured, x0, any_u, again=True, twice=True)  # A^T u: linear in u, its derivative is A

            def back(u: Tensor) -> Tensor:
                """J A^T u; J is symmetric."""
                return gradient(measured, seen.z, u, again=True, twice=seen.nested)

            def product(u: Tensor) -> Tensor:
                return gradient(at_x0, any_u, back(u), again=True, twice=seen.nested) + self.noise**2 * a / s**2 * u

            u = conjugate_gradients(product, error, self.iterations, self.tolerance)
            x0 = x0 + back(u)
        return x0 if seen.nested else x0.detach()


def conjugate_gradients(
    product: Callable[[Tensor], Tensor], b: Float[Tensor, "b *y"], iterations: int, tolerance: float
) -> Float[Tensor, "b *y"]:
    """u with K u = b, K = product symmetric and positive, for each sample by itself (Hestenes & Stiefel 1952).

    It is the lowest point of u K u / 2 - b u, and each iteration goes down to the lowest along its direction. A sample
    stops when it is done, when K is not positive along its way (truncated, as in Newton's method: Nocedal & Wright
    2006, algorithm 7.1), or when it went up, as K was not symmetric. So its answer does not depend on its batch.
    """

    def dot(x: Tensor, y: Tensor) -> Tensor:
        return (x * y).flatten(1).sum(1).reshape(-1, *(1,) * (b.ndim - 1))

    u, left, direction = torch.zeros_like(b), b, b
    norm, height = dot(b, b), torch.zeros_like(dot(b, b))
    enough, going = tolerance**2 * norm, norm > 0
    for _ in range(iterations):
        image = product(direction)
        curvature = dot(direction, image)
        going = going & (norm > enough) & (curvature > 0)
        step = torch.where(going, norm / curvature.where(going, 1), 0)
        ahead, remains = u + step * direction, left - step * image
        lower = -dot(ahead, b + remains) / 2  # K u = b - remains
        going = going & (lower <= 0.999 * height)  # heights are below 0; close to the lowest, rounding moves them
        if not going.any():  # waits for the device: less than a pass through the network
            break
        u, left, height = (torch.where(going, new, old) for new, old in ((ahead, u), (remains, left), (lower, height)))
        before, norm = norm, dot(left, left)
        direction = left + norm / before.where(going, 1) * direction
    return u
