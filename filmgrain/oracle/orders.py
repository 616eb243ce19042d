"""How fast the error of a deterministic sampler falls: the slope of log(error) against log(steps).

To a finite level, as the step into the data is of first order for all; and from far out in the noise, as the first
step of a multistep sampler is of first order too, and its error must not count.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ..analytic.gaussian import Gaussian
from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.process import alpha
from ..rooms import find, names
from .estimate import Estimate, estimate
from .truths import blobs
from .walk import Options, label, walk

FIRST, FINAL = -12.0, 4.0  # log-SNR; sigma is 0.13 at the end
SCALES = (0.1, 2.0)  # the standard deviations of Gaussian data are drawn between these
KINDS = 8  # of them a seed, their errors pooled: the slope of a single scale wanders
VARIANTS: dict[str, tuple[tuple[Options, int], ...]] = {  # options, and the order to expect, where not the default's
    "dpmpp_3m": (({}, 3), ({"published": True}, 2)),
    "unipc": (({"order": 1}, 2), ({}, 3), ({"order": 3}, 4)),
    "rk45": (({"rtol": 0.0, "atol": 1e9}, 5),),  # so loose that every interval is one step
}


@dataclass(frozen=True)
class Row:
    sampler: str
    options: Options
    data: str  # "Gaussian", against the exact flow, or "mixture", against a fine reference
    expected: int
    steps: tuple[int, ...]
    calls: tuple[int, ...]  # of the denoiser
    errors: tuple[Estimate, ...]  # root mean square of z
    order: Estimate

    @property
    def name(self) -> str:
        return label(self.sampler, self.options)


def run(
    *, seeds: int = 10, steps: tuple[int, ...] = (32, 64, 128, 256), progress: Callable[[int, int], None] | None = None
) -> list[Row]:
    """A row for each deterministic sampler, with each of its orders, and each kind of data."""
    variants = list(deterministic())
    rows = []
    for data, problem in (("Gaussian", _gaussians(seeds)), ("mixture", _mixture(seeds))):
        for sampler, options, expected in variants:
            rows.append(measure(sampler, options, expected, data, steps, problem))
            if progress is not None:
                progress(len(rows), 2 * len(variants))
    return rows


def deterministic() -> Iterator[tuple[str, Options, int]]:
    """(sampler, options, order to expect)"""
    for name in names("samplers"):
        order = find("samplers", name).ORDER
        if order is not None:
            yield from ((name, options, expected) for options, expected in VARIANTS.get(name, (({}, order),)))


@dataclass(frozen=True)
class Problem:
    """Where to start, where the flow leads from there, and the root mean square of an error for each seed."""

    denoiser: Denoiser
    start: Tensor
    end: Tensor
    error: Callable[[Tensor], Float[Tensor, " seeds"]]
    floor: float  # errors below it are the reference's own, or of rounding, and do not count


def measure(sampler: str, options: Options, expected: int, data: str, steps: tuple[int, ...], problem: Problem) -> Row:
    errors, calls = [], []
    for count in steps:
        levels = torch.linspace(FIRST, FINAL, count + 1, dtype=torch.float64)
        z, made = walk(sampler, problem.denoiser, problem.start, levels, options=options)
        errors.append(problem.error(z - problem.end))
        calls.append(made)
    orders = torch.stack([slope(steps, seed, problem.floor) for seed in torch.stack(errors, 1)])
    means = tuple(estimate(error) for error in errors)
    return Row(sampler, options, data, expected, steps, tuple(calls), means, estimate(orders))


def slope(steps: tuple[int, ...], errors: Float[Tensor, " steps"], floor: float = 0.0) -> Float[Tensor, ""]:
    """The order: minus the slope of the line through the logarithms, by least squares."""
    counts = errors > floor
    x, y = torch.tensor(steps, dtype=errors.dtype)[counts].log(), errors[counts].log()
    x = x - x.mean()
    return -(x * y).sum() / (x * x).sum()


def _gaussians(seeds: int) -> Problem:
    """One Gaussian that holds the scales of all seeds side by side, as no number of it knows of another."""
    rng = torch.Generator().manual_seed(0)
    low, high = SCALES
    stds = low * (high / low) ** torch.rand(seeds * KINDS, generator=rng, dtype=torch.float64)
    means = 0.5 * torch.randn(seeds * KINDS, generator=rng, dtype=torch.float64)
    data, start = Gaussian(means, (stds**2).diag()), torch.randn(64, seeds * KINDS, generator=rng, dtype=torch.float64)

    def error(z: Tensor) -> Tensor:
        return z.reshape(64, seeds, KINDS).square().mean((0, 2)).sqrt()

    return Problem(data, start, data.flow(start, FIRST, FINAL), error, floor=1e-13)


def _mixture(seeds: int) -> Problem:
    rng = torch.Generator().manual_seed(1)
    start = torch.randn(seeds * 128, 2, generator=rng, dtype=torch.float64)

    def error(z: Tensor) -> Tensor:
        return z.reshape(seeds, -1).square().mean(1).sqrt()

    return Problem(blobs(), start, reference(blobs(), start), error, floor=1e-10)


@torch.no_grad()
def reference(denoiser: Denoiser, z: Float[Tensor, "b n"], steps: int = 2048) -> Float[Tensor, "b n"]:
    """The probability flow by the classical Runge-Kutta method in y = z / alpha, dy/dlogsnr = (x0 - y) / 2.

    Apart from all samplers; of order 4, and within 1e-10 of the exact flow of a Gaussian.
    """

    def velocity(level: Tensor, y: Tensor) -> Tensor:
        return (denoiser(alpha(level) * y, level.expand(len(y)), Cond()) - y) / 2

    levels = torch.linspace(FIRST, FINAL, steps + 1, dtype=torch.float64)
    y = z / alpha(levels[0])
    for t, s in pairwise(levels):
        h, middle = s - t, (t + s) / 2
        k1 = velocity(t, y)
        k2 = velocity(middle, y + h / 2 * k1)
        k3 = velocity(middle, y + h / 2 * k2)
        k4 = velocity(s, y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return alpha(levels[-1]) * y
