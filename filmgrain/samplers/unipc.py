"""UniPC-p: a multistep predictor, and a corrector that costs no evaluation (Zhao et al. 2023, UniPC)."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.process import alpha, sigma
from . import Step, per_sample

ORDER = 3  # of UniPC-2, the default: the corrector adds one to the predictor's
MULTISTEP = True
VARIANTS = {"bh1": lambda h: h, "bh2": lambda h: -math.expm1(-h)}  # B(h)


def nfe(steps: int) -> int:
    return steps


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    z: Float[Tensor, "b *chw"],
    levels: Float[Tensor, " levels"],
    cond: Cond,
    *,
    order: int = 2,
    variant: str = "bh2",
) -> Iterator[Step]:
    """z_s = (sigma_s / sigma_t) z_t + alpha_s ((1 - e^-h) x0 + sum_k b_k (x0_k - x0)),   h = (logsnr_s - logsnr_t) / 2.

    The predictor takes x0_k from the `order` - 1 levels before t. The estimate at the z_s that it predicts is the next
    step's, and first corrects z_s: the same equation with one x0_k more. variant: B(h) of `weights`.
    """
    if order not in (1, 2, 3):
        raise ValueError(f"order={order} of the unipc sampler is not 1, 2 or 3, the predictor's; the paper uses 2 or 3")
    if variant not in VARIANTS:
        raise ValueError(f'variant="{variant}" of the unipc sampler is unknown; use one of {", ".join(VARIANTS)}')
    half = (levels.cpu().double() / 2).tolist()
    known: deque[tuple[float, Tensor]] = deque(maxlen=int(order))  # (logsnr / 2, x0), the newest first
    before = z
    for i, (t, s) in enumerate(pairwise(levels)):
        x0 = denoiser(z, per_sample(t, z), cond)
        if i > 0:
            z = step(before, half[i], [*known, (half[i], x0)], variant)
        known.appendleft((half[i], x0))
        before = z
        z = x0 if half[i + 1] == math.inf else step(z, half[i + 1], known, variant)
        yield Step(s, z, x0)


def step(z: Tensor, s: float, known: Sequence[tuple[float, Tensor]], variant: str) -> Tensor:
    """From z, at the level of the first of the known estimates, to s; levels as logsnr / 2."""
    (t, x0), *others = known
    level_t, level_s = (torch.tensor(2 * level, dtype=z.dtype) for level in (t, s))
    b = weights(s - t, [(level - t) / (s - t) for level, _ in others], variant)
    z = sigma(level_s) / sigma(level_t) * z - alpha(level_s) * math.expm1(t - s) * x0
    for b_k, (_, x0_k) in zip(b, others, strict=True):
        z = z + alpha(level_s) * b_k * (x0_k - x0)
    return z


def weights(h: float, nodes: list[float], variant: str) -> list[float]:
    """b with sum_k b_k r_k^j = w_j = int_0^1 h e^(-h (1 - u)) u^j du for j = 1 ... n: exact where x0 is a polynomial.

    r are the nodes in units of the step, 0 at t. One node alone has B(h) / (2 r), as w_1 is B(h) / 2 to second order.
    """
    if len(nodes) == 1:
        return [VARIANTS[variant](h) / (2 * nodes[0])]
    w = [-math.expm1(-h)]
    for j in range(1, len(nodes) + 1):
        w.append(1 - j / h * w[-1])
    powers = torch.tensor(nodes, dtype=torch.float64) ** torch.arange(1, len(nodes) + 1)[:, None]
    return torch.linalg.solve(powers, torch.tensor(w[1:], dtype=torch.float64)).tolist()
