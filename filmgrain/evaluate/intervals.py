"""How much of a measure is chance: its spread over random halves of the samples and of the reference.

The bootstrap that draws with replacement is wrong for these measures: a row drawn twice is its own nearest neighbour,
adds k(x, x) to a mean over different pairs, and makes a covariance of fewer rows than are counted. A half drawn without
replacement has none of that, and for a mean of n values its variance around the whole's is that of the whole itself:
1/m (1 - m/n) = 1/n for m = n/2 (Shao & Wu 1989, the delete-half jackknife; Politis & Romano 1994). The halves are also
of another size, so that they show the bias that falls as 1/n: it is once as large again in them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ..diffusion.draw import generator

Measure = Callable[[Float[Tensor, "n d"], Float[Tensor, "m d"]], Mapping[str, float]]
NORMAL = 1.96  # standard errors on either side that hold 95 % of a normal distribution


@dataclass(frozen=True)
class Number:
    """A measure of all samples, and of their halves."""

    value: float
    halves: tuple[float, ...]  # the same halves for numbers of the same protocol; empty: no interval was asked for
    least: float = -math.inf  # that it can be
    most: float = math.inf  # that it can be

    @property
    def error(self) -> float:
        """Standard error; NaN for fewer than two halves."""
        return float(np.std(self.halves, ddof=1)) if len(self.halves) > 1 else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 %: where other samples and another reference, as many of each, would put the value."""
        around = NORMAL * self.error
        low, high = np.clip((self.value - around, self.value + around), self.least, self.most).tolist()
        return low, high

    @property
    def unbiased(self) -> float:
        """The value for infinitely many samples and references, if its bias falls as 1/n (Chong & Forsyth 2020)."""
        return 2 * self.value - float(np.mean(self.halves)) if self.halves else math.nan

    def __sub__(self, other: "Number") -> "Number":
        """The difference of two numbers of one protocol: what its reference does to both is not counted."""
        paired = zip(self.halves, other.halves, strict=True)
        return Number(self.value - other.value, tuple(a - b for a, b in paired))


def measured(
    measure: Measure,
    samples: Float[Tensor, "n d"],
    reference: Float[Tensor, "m d"],
    *,
    halves: int,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Number]:
    """The numbers of a measure that gives some by name. Half r is a function of (seed, r, n), not of the features."""
    whole, parts = measure(samples, reference), []
    for r in range(halves):
        parts.append(measure(_half(samples, "samples", seed, r), _half(reference, "reference", seed, r)))
        progress(r + 1, halves)
    return {name: Number(value, tuple(part[name] for part in parts)) for name, value in whole.items()}


def _half(features: Float[Tensor, "n d"], of: str, seed: int, r: int) -> Float[Tensor, "half d"]:
    chosen = generator(seed, f"half of {of}", r).permutation(len(features))[: len(features) // 2]
    return features[np.sort(chosen)]
