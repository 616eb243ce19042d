"""The variational bound on the likelihood, in nats a sample: of continuous time, and of a chain of T steps.

    -log p(x0) <= KL(q(z_T | x0) || N(0, I))                                            prior
                  + 1/2 E int e^logsnr |x0 - x0_hat|^2 d logsnr                         diffusion, in continuous time
                  + E[-log p(x0 | z_0)]                                                 reconstruction (decoders.py)

(Kingma et al. 2021, where the integral is over time, with -dlogsnr/dt beside e^logsnr; Ho et al. 2020 for T steps.)
The integral depends on the ends of the schedule alone. It is estimated without bias, by `levels` calls of the denoiser.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as nnf
from jaxtyping import Float
from torch import Tensor

from .cond import Cond
from .decoders import bytes_about, bytes_from_z, total
from .denoiser import Denoiser
from .draw import Draw
from .process import alpha, diffuse, renewed, sigma


class Bound(NamedTuple):
    """The terms of -log p(x0) <= prior + diffusion + reconstruction, one value a sample, float64, on the CPU."""

    prior: Float[Tensor, " b"]
    diffusion: Float[Tensor, " b"]
    reconstruction: Float[Tensor, " b"]
    error: Float[Tensor, " b"]  # standard error of `diffusion`, estimated at some levels; NaN for fewer than 3

    @property
    def nats(self) -> Float[Tensor, " b"]:
        return self.prior + self.diffusion + self.reconstruction


@torch.no_grad()
def continuous_bound(
    denoiser: Denoiser,
    x0: Float[Tensor, "b *chw"],
    cond: Cond,
    *,
    draw: Draw,
    low: float = -20.0,
    high: float = 13.0,
    levels: int = 64,
    decoder: Callable[[Tensor, float], Tensor] = bytes_from_z,
) -> Bound:
    """The bound between the levels `low`, where z is noise, and `high`, where the decoder reads x0 off z.

    high = 13 leaves 0.04 bits of a byte open. Every unit of logsnr above costs up to 0.72 bits an element, unless the
    network knows that the data are bytes.
    """
    if not low < high:
        raise ValueError(f"low={low} is not below high={high}: the bound is an integral from noise to data")

    def term(place: Tensor, k: int) -> Tensor:
        logsnr = low + (high - low) * place
        return logsnr.exp() * _square_error(denoiser, x0, logsnr, cond, draw, k)

    mean, error = _over_levels(term, draw, levels)
    half = (high - low) / 2
    return Bound(prior_kl(x0, low), half * mean, decoder(x0, high), half * error)


@torch.no_grad()
def discrete_bound(
    denoiser: Denoiser,
    x0: Float[Tensor, "b *chw"],
    cond: Cond,
    *,
    draw: Draw,
    table: Float[Tensor, " T"],
    gamma: float = 0.0,
    levels: int | None = None,
    decoder: Callable[[Tensor, Tensor, float], Tensor] = bytes_about,
) -> Bound:
    """L_T + sum of L_(t-1) + L_0 of a DDPM of T steps (Ho et al. 2020, eq. 5), `table` its levels from least noise on.

    With v the variance of q(z_s | z_t, x0), and v_t^gamma v^(1 - gamma) that of the reverse step, as in ancestral
    sampling (gamma = 0 'fixed small', 1 'fixed large'), r their ratio (sigma_t^2 / sigma_s^2)^gamma,

        L_(t-1) = n / 2 (log r - 1 + 1 / r) + (e^logsnr_s - e^logsnr_t) |x0 - x0_hat|^2 / 2 r

    L_0 is read about x0_hat(z_1) with the deviation sqrt(v) of the step before, as Ho et al. do in their code. levels:
    how many of the T - 1 terms are evaluated, picked evenly in logsnr, where they differ least; all by default.
    """
    T = len(table)
    levels = T - 1 if levels is None else levels
    if not 1 <= levels < T:
        raise ValueError(f"levels={levels} of a chain of {T} steps; use 1 to {T - 1}")
    table = table.double().cpu()
    s, t = table[:-1], table[1:]  # of each step, the level it comes to and the one it comes from
    share, wider = _reverse(s, t, gamma)
    odds = (s - t) / (table[0] - table[-1]) if levels < T - 1 else torch.full_like(s, 1 / (T - 1))

    def term(place: Tensor, k: int) -> Tensor:
        step = torch.searchsorted(odds.cumsum(0), place, right=True).clamp(max=T - 2)
        return share[step] / odds[step] * _square_error(denoiser, x0, t[step], cond, draw, k)

    mean, error = _over_levels(term, draw, levels)
    first = table[:1].expand(len(x0)).to(x0)
    mode = denoiser(diffuse(x0, draw.normal("bound, decoder", x0), first), first, cond)
    reconstruction = decoder(x0, mode, math.sqrt(renewed(t[0], s[0]) * sigma(s[0]) ** 2))
    return Bound(prior_kl(x0, float(t[-1])), mean + wider * x0[0].numel(), reconstruction, error)


def _reverse(s: Float[Tensor, " steps"], t: Float[Tensor, " steps"], gamma: float) -> tuple[Tensor, float]:
    """What |x0 - x0_hat|^2 counts at each step; and of an element, what the width of all the steps costs."""
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma={gamma} of the chain's variance is outside [0, 1]; 0 is fixed small, 1 fixed large")
    log_r = 2 * gamma * (sigma(t).log() - sigma(s).log())
    return (s.exp() - t.exp()) / (2 * log_r.exp()), float((log_r - 1 + (-log_r).exp()).sum() / 2)


def prior_kl(x0: Float[Tensor, "b *chw"], logsnr: float) -> Float[Tensor, " b"]:
    """KL(q(z | x0) || N(0, I)) = (alpha^2 |x0|^2 + n (sigma^2 - 1 - log sigma^2)) / 2 at a level near pure noise."""
    level = torch.tensor(logsnr, dtype=torch.float64)
    return (alpha(level) ** 2 * (total(x0.square()) - x0[0].numel()) + x0[0].numel() * nnf.softplus(level)) / 2


def _square_error(
    denoiser: Denoiser, x0: Tensor, logsnr: Float[Tensor, " b"], cond: Cond, draw: Draw, k: int
) -> Float[Tensor, " b"]:
    """|x0 - x0_hat|^2 at a level for each sample, with the noise that is number k of it."""
    logsnr = logsnr.to(x0)
    return total((x0 - denoiser(diffuse(x0, draw.normal(f"bound {k}", x0), logsnr), logsnr, cond)).square())


def _over_levels(term: Callable[[Tensor, int], Tensor], draw: Draw, levels: int) -> tuple[Tensor, Tensor]:
    """The mean of term(place) over places in [0, 1), and its standard error."""
    if levels < 1:
        raise ValueError(f"levels={levels} is not a number of noise levels; use 1 or more")
    places = spread(draw.times(), levels)
    values = torch.stack([term(place, k) for k, place in enumerate(places)])
    return values.mean(0), _noise(values, places) / math.sqrt(levels)


def spread(u: Float[Tensor, " b"], levels: int) -> Float[Tensor, "levels b"]:
    """One place in each of `levels` equal parts of [0, 1), by turns at u and at 1 - u of it.

    Each is uniform where u is, so that a mean over them has no bias; and as two neighbours mirror each other, what is
    linear in place is integrated exactly: the error of a smooth function falls as 1 / levels^2.
    """
    k = torch.arange(levels, dtype=torch.float64)[:, None]
    return (k + torch.where(k % 2 == 0, u, 1 - u)) / levels


def _noise(values: Float[Tensor, "levels b"], places: Float[Tensor, "levels b"]) -> Float[Tensor, " b"]:
    """The deviation of values from a smooth function of place (Gasser, Sroka & Jennen-Steinmetz 1986): of each from the
    straight line between its two neighbours."""
    if len(values) < 3:
        return torch.full_like(values[0], math.nan)
    w = (places[1:-1] - places[:-2]) / (places[2:] - places[:-2])
    apart = values[1:-1] - (1 - w) * values[:-2] - w * values[2:]
    return (apart.square() / (1 + w.square() + (1 - w).square())).mean(0).sqrt()
