"""Does a model copy? The training items nearest to its samples, held against those nearest to unseen data.

A sample that lies nearer to a training item than data do that the model never saw is suspicious. Distances alone decide
nothing: look at the pictures. A plain picture is near to everything in pixels, and a network that was trained to ignore
colour sees copies where there are none, so look at both spaces.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..diffusion.draw import generator

CLOSE = 0.05  # of unseen items are closer to the training data than this counts as close
AGAIN = 2000  # times that both sets are drawn again for an interval


@dataclass(frozen=True)
class Nearest:
    """For each of n items its k nearest, nearest first."""

    distance: Float[Tensor, "n k"]  # root of the mean square over features
    index: Int64[Tensor, "n k"]  # among all that was searched


def nearest(items: Float[Tensor, "n d"], searched: Iterable[Float[Tensor, "m d"]], k: int = 1) -> Nearest:
    """Exact, through all that is searched, which comes some at a time."""
    items = items.double()
    distance = torch.full((len(items), k), torch.inf, dtype=torch.float64)
    index = torch.full((len(items), k), -1)
    start = 0
    for part in searched:
        away = torch.cdist(items, part.double()) / items.shape[1] ** 0.5
        ids = torch.arange(start, start + len(part)).expand(len(items), -1)
        distance, kept = torch.cat([distance, away], 1).topk(k, largest=False)
        index = torch.cat([index, ids], 1).gather(1, kept)
        start += len(part)
    return Nearest(distance, index)


@dataclass(frozen=True)
class Copying:
    """How near samples are to the training data, in one space, compared to unseen data."""

    ratio: float  # of the median distances; 1: as far as unseen data
    ratio_interval: tuple[float, float]  # 95 %
    close: float  # share of the samples that are nearer than all but CLOSE of unseen data: CLOSE, if nothing is copied
    close_interval: tuple[float, float]  # 95 %

    @property
    def copies(self) -> bool:
        return self.close_interval[0] > CLOSE

    def __str__(self) -> str:
        low, high = self.ratio_interval
        share, least, most = (f"{100 * part:.1f}" for part in (self.close, *self.close_interval))
        verdict = "copies: look at the sheet" if self.copies else "no copies are shown"
        return (
            f"{self.ratio:.3f} times as far from training data as unseen data are (95 %: {low:.3f} to {high:.3f}), "
            f"{share} % as near as the nearest {100 * CLOSE:g} % of these ({least} to {most}): {verdict}"
        )

    def row(self) -> dict[str, Any]:
        return vars(self) | {"copies": self.copies}


def copying(samples: Float[Tensor, " n"], unseen: Float[Tensor, " m"], seed: int) -> Copying:
    """From each item's distance to its nearest training item. Intervals by the bootstrap, of both sets."""
    a, b = samples.numpy(), unseen.numpy()
    ratio, close = [], []
    for r in range(AGAIN):
        rng = generator(seed, "copying", r)
        one, other = a[rng.integers(len(a), size=len(a))], b[rng.integers(len(b), size=len(b))]
        ratio.append(_ratio(one, other))
        close.append(_close(one, other))
    return Copying(_ratio(a, b), _interval(ratio), _close(a, b), _interval(close))


def _ratio(samples: np.ndarray, unseen: np.ndarray) -> float:
    above, below = float(np.median(samples)), float(np.median(unseen))
    return above / below if below else (math.inf if above else 1.0)


def _close(samples: np.ndarray, unseen: np.ndarray) -> float:
    return float(np.mean(samples < np.quantile(unseen, CLOSE)))


def _interval(values: list[float]) -> tuple[float, float]:
    low, high = np.quantile(values, (0.025, 0.975), method="nearest")
    return float(low), float(high)
