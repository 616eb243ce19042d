"""Tables: the discrete schedules of DDPMs, T levels made of betas.

A table is read as t -> table[ceil(t T) - 1]. Published betas were made for T = 1000; for another T they are scaled by
1000 / T and cut at 0.999, so that every T ends in about the same noise, or in more.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

STEPS_MAX = 1_000_000  # of a table, which is kept in memory
BETA_MAX = 0.999  # of scaled betas: 1000 / T would carry those of a short chain to 1 and beyond
ALPHA_BAR_MIN = 2.0**-24  # where zero terminal SNR stops short: log-SNR -16.6, or -72 dB


@runtime_checkable
class Discrete(Protocol):
    """A schedule of T levels: `table` holds their logsnr, falling from step 0 (least noise) to step T - 1; float64."""

    @property
    def table(self) -> Float[Tensor, " T"]: ...

    def __call__(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]: ...


@dataclass(frozen=True, kw_only=True)
class LinearBeta:
    """beta rises linearly over T steps (Ho et al. 2020, sec. 4). The constants were made for T = 1000."""

    steps: int = 1000  # T
    beta_first: float = 1e-4  # of the step next to the data
    beta_last: float = 0.02  # of the step next to pure noise
    scale: bool = True  # multiply beta by 1000 / T, so that every T ends in noise; False leaves signal at t = 1
    zero_terminal_snr: bool = False  # rescale, so that no signal is left at t = 1; not with the prediction eps

    def __post_init__(self) -> None:
        _check_betas(self.steps, self.beta_first, self.beta_last)

    @cached_property
    def table(self) -> Float[Tensor, " T"]:
        beta = torch.linspace(self.beta_first, self.beta_last, self.steps, dtype=torch.float64)
        table = logsnr_of_betas(scaled(beta) if self.scale else beta)
        return without_terminal_signal(table) if self.zero_terminal_snr else table

    def __call__(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return look_up(self.table, t)


@dataclass(frozen=True, kw_only=True)
class ScaledLinearBeta:
    """sqrt(beta) rises linearly over T steps: that of Stable Diffusion (Rombach et al. 2022), made for T = 1000."""

    steps: int = 1000  # T
    beta_first: float = 0.00085  # of the step next to the data
    beta_last: float = 0.012  # of the step next to pure noise
    scale: bool = True  # multiply beta by 1000 / T, so that every T ends alike; False leaves more signal at t = 1
    zero_terminal_snr: bool = False  # rescale, so that no signal is left at t = 1; not with the prediction eps

    def __post_init__(self) -> None:
        _check_betas(self.steps, self.beta_first, self.beta_last)

    @cached_property
    def table(self) -> Float[Tensor, " T"]:
        beta = torch.linspace(self.beta_first**0.5, self.beta_last**0.5, self.steps, dtype=torch.float64) ** 2
        table = logsnr_of_betas(scaled(beta) if self.scale else beta)
        return without_terminal_signal(table) if self.zero_terminal_snr else table

    def __call__(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return look_up(self.table, t)


@dataclass(frozen=True, kw_only=True)
class CosineBeta:
    """The discrete cosine schedule: alpha_bar = cos^2((t + s) / (1 + s) pi / 2) (Nichol & Dhariwal 2021, eq. 17)."""

    steps: int = 1000  # T
    s: float = 0.008  # keeps beta from vanishing near t = 0
    beta_max: float = 0.9999  # where the formula would go on to 1
    zero_terminal_snr: bool = False  # rescale, so that no signal is left at t = 1; not with the prediction eps

    def __post_init__(self) -> None:
        _check_steps(self.steps)
        if not 0 < self.beta_max < 1:
            raise ValueError(f"beta_max={self.beta_max} does not lie between 0 and 1; the paper uses 0.999")
        if not 0 <= self.s < math.inf:
            raise ValueError(f"s={self.s} of the cosine_beta schedule is no offset in time; the paper uses 0.008")

    @cached_property
    def table(self) -> Float[Tensor, " T"]:
        t = torch.linspace(0, 1, self.steps + 1, dtype=torch.float64)
        alpha_bar = ((t + self.s) / (1 + self.s) * math.pi / 2).cos() ** 2
        table = logsnr_of_betas((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=self.beta_max))
        return without_terminal_signal(table) if self.zero_terminal_snr else table

    def __call__(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return look_up(self.table, t)


@dataclass(frozen=True, kw_only=True)
class SigmoidBeta:
    """The discrete sigmoid schedule: alpha_bar falls from 1 to 0 as a sigmoid does (Jabri et al. 2022).

    alpha_bar = (sigmoid(q) - sigmoid(u)) / (sigmoid(q) - sigmoid(p))
    with p = start / tau, q = end / tau, u = p + t (q - p)
    """

    steps: int = 1000  # T
    start: float = -3.0  # of the sigmoid, at t = 0
    end: float = 3.0  # of the sigmoid, at t = 1
    tau: float = 1.0  # temperature: a lower one passes the middle levels faster
    beta_max: float = 0.999  # where the formula would go on to 1
    zero_terminal_snr: bool = False  # rescale, so that no signal is left at t = 1; not with the prediction eps

    def __post_init__(self) -> None:
        _check_steps(self.steps)
        if not 0 < self.beta_max < 1:
            raise ValueError(f"beta_max={self.beta_max} does not lie between 0 and 1; 0.999 is usual")
        if not (-math.inf < self.start < self.end < math.inf and 0 < self.tau < math.inf):
            given = f"start={self.start}, end={self.end}, tau={self.tau}"
            raise ValueError(f"{given} are no sigmoid; use start < end and tau > 0, such as -3, 3 and 1")

    @cached_property
    def table(self) -> Float[Tensor, " T"]:
        u = torch.linspace(self.start / self.tau, self.end / self.tau, self.steps + 1, dtype=torch.float64)
        left = u[-1].sigmoid() - u.sigmoid()  # alpha_bar, but for a factor
        table = logsnr_of_betas((1 - left[1:] / left[:-1]).clamp(max=self.beta_max))
        return without_terminal_signal(table) if self.zero_terminal_snr else table

    def __call__(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return look_up(self.table, t)


def logsnr_of_betas(beta: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    """log(alpha_bar / (1 - alpha_bar)), where alpha_bar is the running product of 1 - beta (Ho et al. 2020, eq. 4)."""
    log_alpha_bar = torch.log1p(-beta).cumsum(0)
    return log_alpha_bar - torch.log(-torch.expm1(log_alpha_bar))


def scaled(beta: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    """Betas that were made for 1000 steps, for T: their sum stays, and so, nearly, does the noise at the end."""
    return (beta * 1000 / len(beta)).clamp(max=BETA_MAX)


def without_terminal_signal(table: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    """The table with sqrt(alpha_bar) moved to end at 0, and stretched to begin as before (Lin et al. 2024, alg. 1).

    A log-SNR is finite, so that alpha_bar stops at 2^-24; or at half the level before, where that is lower yet, since a
    table falls at every step. A table that ends lower already, as long ones of cosine_beta do, stays as it is.
    """
    a = table.sigmoid().sqrt()
    if a[-1] ** 2 <= ALPHA_BAR_MIN:
        return table
    alpha_bar = ((a - a[-1]) * a[0] / (a[0] - a[-1])) ** 2
    alpha_bar[-1] = (alpha_bar[-2] / 2).clamp(max=ALPHA_BAR_MIN)
    return alpha_bar.logit()


def look_up(table: Float[Tensor, " T"], t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """table[ceil(t T) - 1]; t = 0 gives the first level."""
    index = (t.double() * len(table) - 1e-3).ceil().long() - 1  # 1e-3 of a step: t = k / T is step k in float32 as well
    return table.to(t.device)[index.clamp(min=0)].to(t.dtype)


def _check_betas(steps: int, first: float, last: float) -> None:
    _check_steps(steps)
    if not 0 < first <= last < 1:
        raise ValueError(f"beta_first={first}, beta_last={last} do not rise between 0 and 1")


def _check_steps(steps: int) -> None:
    if steps > STEPS_MAX:
        raise ValueError(f"steps={steps} of the schedule are over {STEPS_MAX:,}; use a schedule of continuous time")
    if steps < 2:
        raise ValueError(f"steps={steps} of the schedule is not a number of levels; use 2 or more (Ho et al. use 1000)")
