"""Measurements A: x0 -> y, differentiable and of any shape, that guidance can hold x0 to. Any such function will do.

One of another: `lambda x0: Downsample(4)(Frames((0, 8))(x0))`. One beside another: `Together`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Measurement = Callable[[Tensor], Tensor]

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)


@dataclass(frozen=True)
class Frames:
    """Some frames of a video."""

    indices: tuple[int, ...]

    def __call__(self, x0: Float[Tensor, "b c *fhw"]) -> Float[Tensor, "b c *fewer_hw"]:
        count = x0.shape[2] if x0.ndim == 5 else 0
        if not all(-count <= index < count for index in self.indices):
            raise ValueError(f"frames {self.indices} of x0 {tuple(x0.shape)}; expected (b, c, f, h, w) that has them")
        return x0[:, :, list(self.indices)]


@dataclass(frozen=True, eq=False)
class Mask:
    """The values where the mask is true, one after another. The mask is of one sample, and the same for all."""

    mask: Bool[Tensor, "*chw"]

    def __call__(self, x0: Float[Tensor, "b *chw"]) -> Float[Tensor, "b given"]:
        if self.mask.shape != x0.shape[1:]:
            raise ValueError(
                f"the mask is {tuple(self.mask.shape)}, a sample of x0 {tuple(x0.shape[1:])}; give a mask of it"
            )
        return x0[:, self.mask.to(x0.device)]


@dataclass(frozen=True)
class Downsample:
    """A smaller copy: the mean of every square of factor x factor pixels."""

    factor: int

    def __post_init__(self) -> None:
        if self.factor < 1:
            raise ValueError(f"factor={self.factor} of the smaller copy is no number of pixels; use 2 or more")

    def __call__(self, x0: Float[Tensor, "b *cf h w"]) -> Float[Tensor, "b *cf less_h less_w"]:
        *rest, height, width = x0.shape
        if height % self.factor or width % self.factor:
            raise ValueError(f"x0 of {height}x{width} is not a multiple of factor={self.factor}; use a factor of both")
        squares = x0.reshape(*rest, height // self.factor, self.factor, width // self.factor, self.factor)
        return squares.mean(dim=(-3, -1))


@dataclass(frozen=True)
class Grey:
    """A grey copy, of one channel."""

    def __call__(self, x0: Float[Tensor, "b c *fhw"]) -> Float[Tensor, "b 1 *fhw"]:
        if x0.shape[1] != 3:
            raise ValueError(f"a grey copy is made of red, green and blue; x0 has {x0.shape[1]} channels")
        red, green, blue = x0.split(1, dim=1)
        return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


@dataclass(frozen=True)
class Blur:
    """A blurred copy: the mean under a Gaussian of the distance in pixels, of what lies inside of the picture."""

    sigma: float  # pixels

    def __post_init__(self) -> None:
        if not 0 < self.sigma < math.inf:
            raise ValueError(f"sigma={self.sigma} of the blur is no width in pixels; use a number above 0")

    def __call__(self, x0: Float[Tensor, "b *cf h w"]) -> Float[Tensor, "b *cf h w"]:
        down, across = (self._kernel(size, x0) for size in x0.shape[-2:])
        return down @ x0 @ across.T

    def _kernel(self, size: int, like: Tensor) -> Float[Tensor, "size size"]:
        """Row i is the weights of the mean around i; each adds up to 1."""
        at = torch.arange(size, dtype=like.dtype, device=like.device)
        return (-((at[:, None] - at) ** 2) / (2 * self.sigma**2)).softmax(dim=1)


@dataclass(frozen=True)
class Together:
    """Several measurements side by side, (b, values of all), each with a weight on its squared error."""

    measures: tuple[Measurement, ...]
    weights: tuple[float, ...]  # one a measurement, 0 or more

    def __call__(self, x0: Float[Tensor, "b *chw"]) -> Float[Tensor, "b values"]:
        return self.joined([measure(x0) for measure in self.measures])

    def joined(self, measured: Sequence[Tensor]) -> Float[Tensor, "b values"]:
        """What each of them measured, or is known to measure, as what all of them do."""
        pairs = zip(self.weights, measured, strict=True)
        return torch.cat([weight**0.5 * values.flatten(1) for weight, values in pairs], dim=1)


def misfit(known: Tensor, measured: Tensor, x0: Float[Tensor, "b *chw"]) -> Tensor:
    """y - A(x0), for a known y of x0's batch or of one sample."""
    if known.shape[1:] != measured.shape[1:] or known.shape[:1] not in ((1,), x0.shape[:1]):
        given, expected = tuple(known.shape), tuple(measured.shape)
        raise ValueError(
            f"the known measurement is {given}, that of x0 {tuple(x0.shape)} is {expected}; they must agree"
        )
    return known.to(measured) - measured
