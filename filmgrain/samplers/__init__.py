"""One sampler a file, each a generator that walks a grid of noise levels and yields every step.

    sample(denoiser, z, levels, cond, *, ...) -> Iterator[Step]
    nfe(steps)   calls of the denoiser on a grid that ends at +inf; None where the sampler chooses its steps itself
    ORDER        with which its error falls as steps grow, to a finite level; None where it is stochastic
    MULTISTEP    whether it remembers earlier steps, so that it cannot be called for one step at a time

`levels` rise; the last is +inf (there z is x0) or finite. They are on the host, wherever z is: a sampler asks which are
+inf, and a device is never waited for.
A stochastic sampler has the keyword `noise`; its other keywords are the options that users may set.

A corrector (langevin, repaint) calls another sampler, its predictor, for one step at a time. It counts as MULTISTEP, so
that correctors do not take each other.
"""

import inspect
from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..rooms import find

Noise = Callable[[int, Tensor], Tensor]  # (step, like) -> normal noise, a function of (seed, sample, step) alone


class Step(NamedTuple):
    """What a sampler yields: the level reached, the sample there, and the estimate that led to it."""

    logsnr: Float[Tensor, ""]
    z: Float[Tensor, "b *chw"]  # x0 itself where the level is +inf
    x0: Float[Tensor, "b *chw"]


def per_sample(level: Float[Tensor, ""], z: Float[Tensor, "b *chw"]) -> Float[Tensor, " b"]:
    """The level of each sample, on the device of z: filled in there, as a copy to it would be waited for."""
    return torch.full((len(z),), level.item(), dtype=level.dtype, device=z.device)


def last(steps: Iterator[Step]) -> Float[Tensor, "b *chw"]:
    """The sample at the end of the walk."""
    for step in steps:
        z = step.z
    return z


def one_step(
    predictor: str, noise: Noise, options: dict[str, float | str] | None = None
) -> Callable[[Denoiser, Tensor, Tensor, Cond], Step]:
    """A sampler as a step (denoiser, z, levels t and s, cond) -> Step, which is how a corrector calls its predictor."""
    module, options = find("samplers", predictor), options or {}
    if getattr(module, "MULTISTEP", False):
        raise ValueError(
            f'predictor="{predictor}" cannot be called for one step at a time: it remembers earlier steps, or is itself'
            " a corrector; use one such as ancestral, ddim or heun"
        )
    parameters = inspect.signature(module.sample).parameters
    known = [p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY and p.name != "noise"]
    if unknown := [name for name in options if name not in known]:
        raise ValueError(f'the predictor {predictor} has no option "{unknown[0]}"; it has {", ".join(known) or "none"}')
    given = {"noise": noise} if "noise" in parameters else {}

    def step(denoiser: Denoiser, z: Tensor, levels: Tensor, cond: Cond) -> Step:
        (reached,) = module.sample(denoiser, z, levels, cond, **given, **options)
        return reached

    return step


def one_after_another(noise: Noise) -> Noise:
    """`noise` of step 0, 1, 2, ... in the order it is asked, whatever step it is asked for: none is drawn twice."""
    steps = count()
    return lambda step, like: noise(next(steps), like)
