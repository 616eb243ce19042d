"""Decoders: the last step of a likelihood, -log p(x0 | z) in nats, for data that are bytes or have a density.

Bytes are x0 = byte / 127.5 - 1, 256 values 2 / 255 apart. A density p makes P(bytes) = p(x0) (2 / 255)^n of n elements:
from bits of x0 in [-1, 1] to bits of bytes it is log2(127.5) more, per dimension.

    from z, which stands near alpha x0                    bytes_from_z        density_from_z
    about a mean, the denoiser's estimate of x0           bytes_about         density_about

Sums over a sample's elements, float64, on the CPU.
"""

import math
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

BYTES = 256  # values
APART = 2 / 255  # of x0, between neighbouring bytes
LOG_2PI = math.log(2 * math.pi)


def total(x: Float[Tensor, "b *chw"]) -> Float[Tensor, " b"]:
    """The sum over each sample's elements."""
    return x.flatten(1).sum(1).cpu().double()  # in this order: MPS has no float64


def bits(nats: Float[Tensor, "*b"], elements: int) -> Float[Tensor, "*b"]:
    """Nats of a sample of so many elements as bits per dimension."""
    return nats / (elements * math.log(2))


def to_bytes(x0: Float[Tensor, "b *chw"]) -> Int[Tensor, "b *chw"]:
    """The bytes that x0 came of, on the CPU. Raises ValueError for what came of none."""
    scaled = (x0.cpu().double() + 1) / APART
    index = scaled.round()
    if not (index.min() >= 0 and index.max() < BYTES and (scaled - index).abs().max() < 0.01):  # nor is NaN
        raise ValueError("x0 is not 8-bit data in [-1, 1], byte / 127.5 - 1; use the decoder of a density")
    return index.long()


def bytes_from_z(x0: Float[Tensor, "b *chw"], logsnr: float) -> Float[Tensor, " b"]:
    """E[-log P(x0 | z)] over z ~ q(z | x0), P(x0 | z) being q(z | x0) / sum of q(z | x) over the 256 values x an
    element can have (Kingma et al. 2021). Exact: the mean over the noise is an integral for each value of a byte.
    """
    return _uncertainty(logsnr)[to_bytes(x0)].flatten(1).sum(1)


def density_from_z(x0: Float[Tensor, "b *chw"], logsnr: float) -> Float[Tensor, " b"]:
    """E[-log N(x0; z / alpha, e^-logsnr I)] over z ~ q(z | x0): n (log 2 pi e - logsnr) / 2, whatever x0 is."""
    nats = x0[0].numel() * (LOG_2PI + 1 - logsnr) / 2
    return torch.full((len(x0),), nats, dtype=torch.float64)


def bytes_about(x0: Float[Tensor, "b *chw"], mean: Float[Tensor, "b *chw"], deviation: float) -> Float[Tensor, " b"]:
    """-log of what N(mean, deviation^2) has between the edges of each byte's bin (Ho et al. 2020, eq. 13).

    The bins are x0 +- 1/255; the first reaches to -inf, the last to +inf.
    """
    index = to_bytes(x0)
    middle = index.double() * APART - 1 - mean.cpu().double()
    below, above = ((middle + side * APART / 2) / deviation for side in (-1, 1))
    below = below.masked_fill(index == 0, -math.inf)
    above = above.masked_fill(index == BYTES - 1, math.inf)
    flip = below + above > 0  # the tail below holds a small difference exactly, that above would round it to 0
    below, above = torch.where(flip, -above, below), torch.where(flip, -below, above)
    log_above = torch.special.log_ndtr(above)
    log_ratio = torch.special.log_ndtr(below) - log_above
    return -(log_above + torch.log(-torch.expm1(log_ratio))).flatten(1).sum(1)


def density_about(x0: Float[Tensor, "b *chw"], mean: Float[Tensor, "b *chw"], deviation: float) -> Float[Tensor, " b"]:
    """-log N(x0; mean, deviation^2 I)."""
    return total((x0 - mean).square()) / (2 * deviation**2) + x0[0].numel() * (LOG_2PI / 2 + math.log(deviation))


@lru_cache(maxsize=8)
def _uncertainty(logsnr: float) -> Float[Tensor, " bytes"]:
    """E[-log P(x | z)] of each value x of a byte.

    With y = z / alpha = x + w eps, w = e^(-logsnr / 2), and d = x - x' for each other value x', -log P(x | z) is
    log sum_x' exp((y - x)^2 / 2 w^2 - (y - x')^2 / 2 w^2) = log sum_x' exp(-d^2 / 2 w^2 - d eps / w).
    """
    eps = torch.linspace(-8, 8, 321, dtype=torch.float64)  # the trapezoidal rule, good to 1e-9 for such integrands
    weights = torch.exp(-(eps**2) / 2)
    weights = weights / weights.sum()
    values = torch.arange(BYTES, dtype=torch.float64) * APART
    rows = []
    for x in values:
        d = (x - values) * math.exp(logsnr / 2)
        rows.append(weights @ torch.logsumexp(-(d**2) / 2 - d * eps[:, None], dim=1))
    return torch.stack(rows)
