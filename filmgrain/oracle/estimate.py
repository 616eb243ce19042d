"""Estimate: a mean over seeds, and its 95 % interval."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

Z = 1.959964  # the 97.5 % point of the normal distribution


class Estimate(NamedTuple):
    """mean plus or minus half, by Student's t over the seeds."""

    mean: float
    half: float = 0.0  # of the interval's width; 0 where the figure is exact

    def __format__(self, spec: str) -> str:
        """Both numbers by the one specification; the mean alone where the figure is exact."""
        mean, half = format(self.mean, spec), format(self.half, spec)
        return f"{mean} ± {half}" if self.half else mean


def estimate(values: Float[Tensor, " seeds"]) -> Estimate:
    count = len(values)
    if count < 2:
        return Estimate(values.mean().item())
    return Estimate(values.mean().item(), student(count - 1) * values.std().item() / count**0.5)


def student(freedom: int) -> float:
    """The 97.5 % point of Student's t, by the expansion of Cornish and Fisher; within 0.1 % from 6 degrees on."""
    v, z = freedom, Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / v**power for power, term in enumerate(terms, start=1))
