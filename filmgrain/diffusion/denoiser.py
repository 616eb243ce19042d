"""Denoiser: the only call that any sampler makes."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from .cond import Cond


@runtime_checkable
class Denoiser(Protocol):
    """x0_hat, an estimate of E[x0 | z, cond], in float32. z is at the noise level logsnr, one a sample."""

    def __call__(
        self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond
    ) -> Float[Tensor, "b *chw"]: ...
