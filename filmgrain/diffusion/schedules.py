"""Schedules: time t in [0, 1] (0 = data, 1 = noise) to log-SNR. The one room that knows of time.

Here are the continuous ones, and the names of all; the discrete ones are in tables.py. Each takes a `shift` in nats
towards noise (below 0) or data, for what makes a level easier or harder than the schedule was made for: resolution
(shift_of), or a scale b of the data (2 log b, Chen 2023).
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from .learned import Learned
from .tables import CosineBeta, LinearBeta, ScaledLinearBeta, SigmoidBeta


@runtime_checkable
class Schedule(Protocol):
    """logsnr(t), never rising in t."""

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
        _check_range(self.logsnr_min, self.logsnr_max, self.shift)

    def __call__(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        start, end = (math.atan(math.exp(-logsnr / 2)) for logsnr in (self.logsnr_max, self.logsnr_min))
        angle = start + t.double() * (end - start)  # float64: tan is steep near pi / 2
        return (-2 * angle.tan().log() + self.shift).to(t.dtype)


@dataclass(frozen=True, kw_only=True)
class Flow:
    """The straight line of rectified flow: alpha / sigma = (1 - t) / t (Liu et al. 2022; Lipman et al. 2022).

    logsnr = 2 log((1 - t) / t) + shift, the shift being that of Esser et al. (2024), -2 log m, for their factor m
    """

    logsnr_min: float = -20.0  # at t = 1, before the shift
    logsnr_max: float = 20.0  # at t = 0, before the shift
    shift: float = 0.0  # nats; 2 log(64 / resolution) keeps the noise seen at 64 x 64 (Hoogeboom et al. 2023)

    def __post_init__(self) -> None:
        _check_range(self.logsnr_min, self.logsnr_max, self.shift)

    def __call__(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        logsnr = 2 * ((1 - t.double()).log() - t.double().log())
        return (logsnr.clamp(self.logsnr_min, self.logsnr_max) + self.shift).to(t.dtype)


@dataclass(frozen=True, kw_only=True)
class Sigmoid:
    """alpha^2 falls from 1 to 0 as a sigmoid does from `start` to `end` (Jabri et al. 2022; Chen 2023, algorithm 1).

    alpha^2 = (sigmoid(q) - sigmoid(u)) / (sigmoid(q) - sigmoid(p)),   p = start / tau, q = end / tau, u = p + t (q - p)
    logsnr  = log(sinh((q - u) / 2) / sinh((u - p) / 2)) + log(cosh(p / 2) / cosh(q / 2)) + shift,
    which is the same, and exact where alpha^2 is nearly 0 or 1. As tau grows, alpha^2 becomes 1 - t.
    """

    start: float = -3.0  # of the sigmoid, at t = 0
    end: float = 3.0  # of the sigmoid, at t = 1
    tau: float = 1.0  # temperature: a lower one passes the middle levels faster
    logsnr_min: float = -20.0  # at t = 1, before the shift
    logsnr_max: float = 20.0  # at t = 0, before the shift
    shift: float = 0.0  # nats; 2 log(64 / resolution) keeps the noise seen at 64 x 64 (Hoogeboom et al. 2023)

    def __post_init__(self) -> None:
        _check_range(self.logsnr_min, self.logsnr_max, self.shift)
        if not (-math.inf < self.start < self.end < math.inf and 0 < self.tau < math.inf):
            raise ValueError(
                f"start={self.start}, end={self.end}, tau={self.tau} are no sigmoid; use start < end and tau > 0, "
                "such as -3, 3 and 1"
            )

    def __call__(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        p, q, time = self.start / self.tau, self.end / self.tau, t.double()
        logsnr = (
            _log_sinh((1 - time) * (q - p) / 2) - _log_sinh(time * (q - p) / 2) + _log_cosh(p / 2) - _log_cosh(q / 2)
        )
        return (logsnr.clamp(self.logsnr_min, self.logsnr_max) + self.shift).to(t.dtype)


SCHEDULES: dict[str, type] = {
    "cosine": Cosine,
    "flow": Flow,
    "sigmoid": Sigmoid,
    "linear_beta": LinearBeta,
    "scaled_linear_beta": ScaledLinearBeta,
    "cosine_beta": CosineBeta,
    "sigmoid_beta": SigmoidBeta,
    "learned": Learned,
}


def shift_of(resolution: float, base: float = 64) -> float:
    """2 log(base / resolution) nats: the shift that keeps what is seen of a picture (Hoogeboom et al. 2023).

    Averaging squares of k x k pixels divides the noise's variance by k^2 and keeps what changes slowly: a picture of
    `resolution` pixels a side needs k^2 = (resolution / base)^2 times the noise to look as noisy as one of `base` does.
    """
    if not (resolution > 0 and base > 0):
        raise ValueError(f"resolution={resolution}, base={base}: both are pixels a side; use numbers above 0")
    return 2 * math.log(base / resolution)


def _log_sinh(x: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """log(2 sinh x) for x >= 0; -inf at 0."""
    return x + (-(-2 * x).expm1()).log()


def _log_cosh(x: float) -> float:
    """log(2 cosh x)."""
    return abs(x) + math.log1p(math.exp(-2 * abs(x)))


def _check_range(low: float, high: float, shift: float) -> None:
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"logsnr_min={low} is not below logsnr_max={high}; both are finite, such as -20 and 20")
    if not math.isfinite(shift):
        raise ValueError(f"shift={shift} is not a number of nats; use 2 log(64 / resolution), or 0 for none")
