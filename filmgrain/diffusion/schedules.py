"""Schedules: time t in [0, 1] (0 = data, 1 = noise) to log-SNR. The one room that knows of time.

A discrete DDPM of T steps is a table logsnr_1 ... logsnr_T, read as t -> table[ceil(t T) - 1]; its sampling grid in T
steps is exactly the table.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Schedule(Protocol):
    """logsnr(t), never rising in t."""

    def __call__(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]: ...


@runtime_checkable
class Discrete(Protocol):
    """A schedule of T levels: `table` holds their logsnr, falling from step 0 (least noise) to step T - 1; float64."""

    @property
    def table(self) -> Float[Tensor, " T"]: ...

    def __call__(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]: ...


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """alpha_t = cos(pi t / 2), cut to [logsnr_min, logsnr_max] (Nichol & Dhariwal 2021; in this form Ho et al. 2022).

    logsnr = -2 log tan(a t + b) + shift
    """

    logsnr_min: float = -20.0  # at t = 1, before the shift
    logsnr_max: float = 20.0  # at t = 0, before the shift
    shift: float = 0.0  # nats; 2 log(64 / resolution) keeps the noise seen at 64 x 64 (Hoogeboom et al. 2023)

    def __post_init__(self) -> None:
        _check_range(self.logsnr_min, self.logsnr_max)

    def __call__(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        start, end = (math.atan(math.exp(-logsnr / 2)) for logsnr in (self.logsnr_max, self.logsnr_min))
        angle = start + t.double() * (end - start)  # float64: tan is steep near pi / 2
        return (-2 * angle.tan().log() + self.shift).to(t.dtype)


@dataclass(frozen=True, kw_only=True)
class Flow:
    """The straight line of rectified flow: alpha / sigma = (1 - t) / t (Liu et al. 2022; Lipman et al. 2022)."""

    logsnr_min: float = -20.0  # at t = 1
    logsnr_max: float = 20.0  # at t = 0

    def __post_init__(self) -> None:
        _check_range(self.logsnr_min, self.logsnr_max)

    def __call__(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        logsnr = 2 * ((1 - t.double()).log() - t.double().log())
        return logsnr.clamp(self.logsnr_min, self.logsnr_max).to(t.dtype)


@dataclass(frozen=True, kw_only=True)
class LinearBeta:
    """beta rises linearly over T steps (Ho et al. 2020, sec. 4). The constants were made for T = 1000."""

    steps: int = 1000  # T
    beta_first: float = 1e-4  # of the step next to the data
    beta_last: float = 0.02  # of the step next to pure noise
    scale: bool = True  # multiply beta by 1000 / T, so that every T ends in noise; False leaves signal at t = 1

    def __post_init__(self) -> None:
        _check_steps(self.steps)
        if not 0 < self.beta_first <= self.beta_last < 1:
            raise ValueError(f"beta_first={self.beta_first}, beta_last={self.beta_last} do not rise between 0 and 1")

    @cached_property
    def table(self) -> Float[Tensor, " T"]:
        beta = torch.linspace(self.beta_first, self.beta_last, self.steps, dtype=torch.float64)
        return logsnr_of_betas((beta * 1000 / self.steps).clamp(max=0.999) if self.scale else beta)

    def __call__(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return look_up(self.table, t)


@dataclass(frozen=True, kw_only=True)
class CosineBeta:
    """The discrete cosine schedule: alpha_bar = cos^2((t + s) / (1 + s) pi / 2) (Nichol & Dhariwal 2021, eq. 17)."""

    steps: int = 1000  # T
    s: float = 0.008  # keeps beta from vanishing near t = 0
    beta_max: float = 0.9999  # where the formula would go on to 1

    def __post_init__(self) -> None:
        _check_steps(self.steps)
        if not 0 < self.beta_max < 1:
            raise ValueError(f"beta_max={self.beta_max} does not lie between 0 and 1; the paper uses 0.999")

    @cached_property
    def table(self) -> Float[Tensor, " T"]:
        t = torch.linspace(0, 1, self.steps + 1, dtype=torch.float64)
        alpha_bar = ((t + self.s) / (1 + self.s) * math.pi / 2).cos() ** 2
        return logsnr_of_betas((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=self.beta_max))

    def __call__(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return look_up(self.table, t)


SCHEDULES: dict[str, type] = {"cosine": Cosine, "flow": Flow, "linear_beta": LinearBeta, "cosine_beta": CosineBeta}


def logsnr_of_betas(beta: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    """log(alpha_bar / (1 - alpha_bar)), where alpha_bar is the running product of 1 - beta (Ho et al. 2020, eq. 4)."""
    log_alpha_bar = torch.log1p(-beta).cumsum(0)
    return log_alpha_bar - torch.log(-torch.expm1(log_alpha_bar))


def look_up(table: Float[Tensor, " T"], t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """table[ceil(t T) - 1]; t = 0 gives the first level."""
    index = (t.double() * len(table) - 1e-3).ceil().long() - 1  # 1e-3 of a step: t = k / T is step k in float32 as well
    return table.to(t.device)[index.clamp(min=0)].to(t.dtype)


def grid(schedule: Schedule, steps: int, device: torch.device | str | None = None) -> Float[Tensor, " levels"]:
    """steps + 1 levels from noise to data, evenly spaced in the schedule's time. The last is +inf: there z is x0."""
    if steps < 1:
        raise ValueError(f"steps={steps} is not a number of sampling steps; use 1 or more")
    if isinstance(schedule, Discrete) and steps > len(schedule.table):
        raise ValueError(f"steps={steps} is more than the {len(schedule.table)} levels of the schedule; use fewer")
    logsnr = schedule(torch.linspace(1, 0, steps + 1, dtype=torch.float64))  # on the CPU: MPS has no float64
    logsnr[-1] = math.inf
    return logsnr.float().to(device)


def _check_range(low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"logsnr_min={low} is not below logsnr_max={high}")


def _check_steps(steps: int) -> None:
    if steps < 2:
        raise ValueError(f"steps={steps} of the schedule is not a number of levels; use 2 or more (Ho et al. use 1000)")
