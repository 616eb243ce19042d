"""One sampler a file, each a generator that walks a grid of noise levels and yields every step.

    sample(denoiser, z, levels, cond, *, ...) -> Iterator[Step]
    nfe(steps)   calls of the denoiser on a grid that ends at +inf; None where the sampler chooses its steps itself
    ORDER        with which its error falls as steps grow, to a finite level; None where it is stochastic
    MULTISTEP    whether it remembers earlier steps, so that it cannot be called for one step at a time

`levels` rise; the last is +inf (there z is x0) or finite: a sampler asks once, before its loop, which are +inf.
A stochastic sampler has the keyword `noise`; its other keywords are the options that users may set.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

Noise = Callable[[int, Tensor], Tensor]  # (step, like) -> normal noise, a function of (seed, sample, step) alone


class Step(NamedTuple):
    """What a sampler yields: the level reached, the sample there, and the estimate that led to it."""

    logsnr: Float[Tensor, ""]
    z: Float[Tensor, "b *chw"]  # x0 itself where the level is +inf
    x0: Float[Tensor, "b *chw"]


def per_sample(level: Float[Tensor, ""], z: Float[Tensor, "b *chw"]) -> Float[Tensor, " b"]:
    return level.expand(len(z))


def last(steps: Iterator[Step]) -> Float[Tensor, "b *chw"]:
    """The sample at the end of the walk."""
    for step in steps:
        z = step.z
    return z
