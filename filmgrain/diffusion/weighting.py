"""Loss weights w(logsnr) on |x0 - x0_hat|^2. What is computed on the network's own output F is w / k (prediction.py).

Stated on x0, a weighting is one function whatever the network predicts.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from .prediction import Prediction


@runtime_checkable
class Weighting(Protocol):
    def __call__(self, logsnr: Tensor, prediction: Prediction) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class Simple:
    """No factor on F at all: w = k (Ho et al. 2020, L_simple, there with eps)."""

    def __call__(self, logsnr: Tensor, prediction: Prediction) -> Tensor:
        return prediction.k(logsnr)


@dataclass(frozen=True, kw_only=True)
class MinSNR:
    """w = min(SNR, gamma): bounds the weight of nearly clean inputs (Hang et al. 2023, sec. 3.4)."""

    gamma: float = 5.0  # the largest SNR that counts

    def __post_init__(self) -> None:
        if self.gamma <= 0:
            raise ValueError(f"gamma={self.gamma} of the min_snr weighting is not positive; the paper uses 5")

    def __call__(self, logsnr: Tensor, prediction: Prediction) -> Tensor:
        return logsnr.exp().clamp(max=self.gamma)


@dataclass(frozen=True, kw_only=True)
class TruncatedSNR:
    """w = max(SNR, 1), and here bounded above too: keeps what is decided in much noise (Salimans & Ho 2022, sec. 4)."""

    low: float = 1.0  # the smallest weight
    high: float = float("inf")  # the largest; x0-networks need one, as their error never falls to 1 / SNR

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high:
            raise ValueError(f"low={self.low} and high={self.high} of the truncated_snr weighting are no range")

    def __call__(self, logsnr: Tensor, prediction: Prediction) -> Tensor:
        return logsnr.exp().clamp(self.low, self.high)


WEIGHTINGS: dict[str, type] = {"simple": Simple, "min_snr": MinSNR, "truncated_snr": TruncatedSNR}
