"""The density that the probability flow carries from pure noise to the data (Song et al. 2021, score-based SDEs).

    dz / dlogsnr = alpha (x0_hat - alpha z) / 2,        d log p(z) / dlogsnr = -alpha (tr dx0_hat/dz - alpha n) / 2

The flow has the marginals of the diffusion; docs/mathematics.md derives it. The trace is estimated without bias as
v^T (dx0_hat/dz) v with random signs v (Hutchinson 1990), the same along the whole path.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from .cond import Cond
from .decoders import APART, LOG_2PI, bytes_from_z, total
from .denoiser import Denoiser
from .draw import Draw
from .process import diffuse


class LogDensity(NamedTuple):
    """In nats, one value a sample, float64, on the CPU."""

    value: Float[Tensor, " b"]
    error: Float[Tensor, " b"]  # standard error for want of probes; NaN with one


def log_density(
    denoiser: Denoiser,
    z: Float[Tensor, "b *chw"],
    cond: Cond,
    *,
    draw: Draw,
    high: float = 13.0,
    low: float = -20.0,
    steps: int = 64,
    probes: int = 2,
) -> LogDensity:
    """log p(z) of the model at the finite level `high`: log N(z_low; 0, I) + the integral of what the flow condenses.

    By the classical fourth-order Runge-Kutta method in `steps` equal steps of logsnr. There the flow is smooth at any
    level (its rates of change are within 1/2 on Gaussian data), and fixed steps make a sample's result independent of
    its batch and the number of calls, 4 steps, known; that they suffice is seen by doubling them.
    """
    for name, count in (("steps", steps), ("probes", probes)):
        if count < 1:
            raise ValueError(f"{name}={count} of the flow's density is not positive")
    if not low < high:
        raise ValueError(f"low={low} is not below high={high}: the flow runs from data to noise")
    signs = [1 - 2 * (draw.normal(f"probe {k}", z) < 0).to(z.dtype) for k in range(probes)]
    gained = torch.zeros(probes, len(z), dtype=torch.float64)
    for t, s in pairwise(torch.linspace(high, low, steps + 1, dtype=torch.float64).tolist()):
        h = s - t
        slopes: list[Tensor] = []
        rates: list[Tensor] = []
        for node in (0.0, 0.5, 0.5, 1.0):
            at = z + node * h * slopes[-1] if slopes else z
            slope, rate = _flow(denoiser, at, t + node * h, cond, signs)
            slopes.append(slope)
            rates.append(rate)
        z = z + h / 6 * (slopes[0] + 2 * slopes[1] + 2 * slopes[2] + slopes[3])
        gained += h / 6 * (rates[0] + 2 * rates[1] + 2 * rates[2] + rates[3])
    value = gained + standard_normal(z)
    return LogDensity(value.mean(0), value.std(0) / math.sqrt(probes) if probes > 1 else value[0] * math.nan)


def _flow(
    denoiser: Denoiser, z: Tensor, logsnr: float, cond: Cond, signs: Sequence[Tensor]
) -> tuple[Float[Tensor, "b *chw"], Float[Tensor, "probes b"]]:
    """dz / dlogsnr and its divergence, by each of the probes."""
    a = math.sqrt(1 / (1 + math.exp(-logsnr)))
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        x0 = denoiser(z, z.new_full((len(z),), logsnr), cond)
        if not x0.requires_grad:
            raise ValueError("the denoiser gives x0 without a gradient in z; take torch.no_grad or .detach out of it")
        products = [torch.autograd.grad(x0, z, v, retain_graph=v is not signs[-1])[0] * v for v in signs]
    traces = torch.stack([total(product) for product in products])
    return a / 2 * (x0.detach() - a * z.detach()), a / 2 * (traces - a * z[0].numel())


def standard_normal(z: Float[Tensor, "b *chw"]) -> Float[Tensor, " b"]:
    """log N(z; 0, I)."""
    return -(total(z.square()) + z[0].numel() * LOG_2PI) / 2


def bytes_by_noise(
    denoiser: Denoiser,
    x0: Float[Tensor, "b *chw"],
    cond: Cond,
    *,
    draw: Draw,
    high: float = 13.0,
    low: float = -20.0,
    steps: int = 64,
    probes: int = 2,
) -> LogDensity:
    """A bound on log P(bytes) with the noise of the level `high` itself as what makes bytes continuous.

        log P(x0) >= E[log p(z) - log q(z | x0) + log P(x0 | z)],        z ~ q(z | x0)

    The network sees what it was trained on. What is lost is how far q(z | x0) is from the model's own p(z | x0).
    """
    eps = draw.normal("dequantisation", x0)
    z = diffuse(x0, eps, x0.new_full((len(x0),), high))
    density = log_density(denoiser, z, cond, draw=draw, high=high, low=low, steps=steps, probes=probes)
    log_q = standard_normal(eps) + x0[0].numel() * math.log1p(math.exp(high)) / 2
    return LogDensity(density.value - log_q - bytes_from_z(x0, high), density.error)


def bytes_by_uniform(
    denoiser: Denoiser,
    x0: Float[Tensor, "b *chw"],
    cond: Cond,
    *,
    draw: Draw,
    high: float = 13.0,
    low: float = -20.0,
    steps: int = 64,
    probes: int = 2,
) -> LogDensity:
    """A bound on log P(bytes) by uniform dequantisation: y = x0 + (u - 1/2) 2 / 255, u ~ U[0, 1) (Theis et al. 2016).

        log P(x0) >= E[log p(y)] + n log(2 / 255),        log p(y) = log p(z = alpha y) + n log alpha

    alpha y stands for y at the level `high`: the last noise, of deviation e^(-high / 2), is left in the density.
    """
    n, a = x0[0].numel(), math.sqrt(1 / (1 + math.exp(-high)))
    uniform = torch.special.ndtr(draw.normal("dequantisation", x0))
    z = a * (x0 + (uniform - 0.5) * APART)
    density = log_density(denoiser, z, cond, draw=draw, high=high, low=low, steps=steps, probes=probes)
    return LogDensity(density.value + n * (math.log(a) + math.log(APART)), density.error)
