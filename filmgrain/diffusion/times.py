"""Which times are trained on: (t, weight) for each draw. A mean of weight * loss over them is the mean of the loss.

Every density other than the uniform one is reached by its quantile function from the low-discrepancy sequence of
draw.py, so that its draws are spread evenly too. Randomness is a function of (seed, n), and of what `importance` has
seen. t and weight are float64, on the CPU.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .draw import Draw, generator
from .importance import Importance


@runtime_checkable
class Times(Protocol):
    def __call__(self, draw: Draw) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]: ...


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """Independent times, uniform in [0, 1) (Ho et al. 2020)."""

    def __call__(self, draw: Draw) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        t = draw.uniform("independent time")
        return t, torch.ones_like(t)


@dataclass(frozen=True, kw_only=True)
class Stratified:
    """One time in each of equal strata, in an order drawn anew each round; a round is so many draws, in any batches."""

    strata: int = 16  # of a round; the batch, or a multiple of it, serves best

    def __post_init__(self) -> None:
        if self.strata < 1:
            raise ValueError(f"strata={self.strata} of the stratified times is no number of strata; use 1 or more")

    def __call__(self, draw: Draw) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        rounds, places = np.divmod(draw.n, self.strata)
        orders = {r: generator(draw.seed, "strata", r).permutation(self.strata) for r in set(rounds.tolist())}
        stratum = torch.tensor([orders[r][place] for r, place in zip(rounds.tolist(), places, strict=True)])
        t = (stratum + draw.uniform("time in its stratum")) / self.strata
        return t, torch.ones_like(t)


@dataclass(frozen=True, kw_only=True)
class LowDiscrepancy:
    """t_n = frac(u + n / golden ratio): spread evenly over any run of draws, whatever the batch."""

    def __call__(self, draw: Draw) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        t = draw.times()
        return t, torch.ones_like(t)


@dataclass(frozen=True, kw_only=True)
class LogitNormal:
    """logit(t) ~ N(mean, std^2): more of the middle levels, on purpose; weight 1 (Esser et al. 2024).

    With the schedule flow, logit(t) = log(sigma / alpha): mean = -1.2, std = 1.2 is the density of Karras et al. 2022.
    """

    mean: float = 0.0  # of logit(t); above 0 is towards noise
    std: float = 1.0  # of logit(t)

    def __post_init__(self) -> None:
        if self.std <= 0:
            raise ValueError(f"std={self.std} of the logit_normal times is not positive; the paper uses 1")

    def __call__(self, draw: Draw) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        t = torch.sigmoid(self.mean + self.std * torch.special.ndtri(draw.times()))
        return t, torch.ones_like(t)


TIMES: dict[str, type] = {
    "uniform": Uniform,
    "stratified": Stratified,
    "low_discrepancy": LowDiscrepancy,
    "logit_normal": LogitNormal,
    "importance": Importance,
}
