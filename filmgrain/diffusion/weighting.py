"""Loss weights w(logsnr) on |x0 - x0_hat|^2. What is computed on the network's own output F is w / k (prediction.py).

Stated on x0, a weighting is one function whatever the network predicts. Most are per time: the mean is over the times
drawn, so that the schedule is a part of the objective. Those with `per_logsnr` are integrals over log-SNR, for which
each draw is multiplied by -dlogsnr/dt (objective.py): there the schedule falls out.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from .prediction import PREDICTIONS, Prediction
from .uncertainty import Uncertainty


@runtime_checkable
class Weighting(Protocol):
    def __call__(self, logsnr: Tensor, prediction: Prediction) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class Simple:
    """No factor on F at all: w = k (Ho et al. 2020, L_simple, there with eps)."""

    def __call__(self, logsnr: Tensor, prediction: Prediction) -> Tensor:
        return prediction.k(logsnr)


@dataclass(frozen=True, kw_only=True)
class SNR:
    """w = SNR: the error of eps, whatever is predicted."""

    def __call__(self, logsnr: Tensor, prediction: Prediction) -> Tensor:
        return logsnr.exp()


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
    high: float = 0.0  # the largest, 0 for no bound; x0-networks need one, as their error never falls to 1 / SNR

    def __post_init__(self) -> None:
        if not 0 <= self.low <= (self.high or math.inf):
            raise ValueError(f"low={self.low} and high={self.high} of the truncated_snr weighting are no range")

    def __call__(self, logsnr: Tensor, prediction: Prediction) -> Tensor:
        return logsnr.exp().clamp(self.low, self.high or math.inf)


@dataclass(frozen=True, kw_only=True)
class P2:
    """w = SNR / (k + SNR)^gamma: the error of eps, with less of what is nearly clean (Choi et al. 2022)."""

    gamma: float = 1.0  # how much less; the paper uses 0.5 and 1, and 0 is the weighting snr
    k: float = 1.0  # the SNR at which it sets in; the paper uses 1

    def __post_init__(self) -> None:
        if self.gamma < 0 or self.k <= 0:
            raise ValueError(
                f"gamma={self.gamma}, k={self.k} of the p2 weighting: use a gamma of 0 or more, and a k above 0"
            )

    def __call__(self, logsnr: Tensor, prediction: Prediction) -> Tensor:
        return logsnr.exp() / (self.k + logsnr.exp()) ** self.gamma


@dataclass(frozen=True, kw_only=True)
class EDM:
    """w = SNR + 1 / s^2 (Karras et al. 2022, table 1, as (r^2 + s^2) / (r s)^2 with r = e^(-logsnr / 2))."""

    sigma_data: float = 0.5  # s, the standard deviation of the data; 1 makes it simple with v

    def __post_init__(self) -> None:
        if self.sigma_data <= 0:
            raise ValueError(f"sigma_data={self.sigma_data} of the edm weighting is not positive; the paper uses 0.5")

    def __call__(self, logsnr: Tensor, prediction: Prediction) -> Tensor:
        return logsnr.exp() + self.sigma_data**-2


@dataclass(frozen=True, kw_only=True)
class ELBO:
    """w = SNR / 2 per log-SNR: the variational bound, in nats per element of x0 (Kingma et al. 2021)."""

    per_logsnr: ClassVar[bool] = True

    def __call__(self, logsnr: Tensor, prediction: Prediction) -> Tensor:
        return logsnr.exp() / 2


@dataclass(frozen=True, kw_only=True)
class Sigmoid:
    """w = sigmoid(bias - logsnr) SNR / 2 per log-SNR: elbo, with less of what is nearly clean (Kingma & Gao 2023)."""

    bias: float = 2.0  # nats; the log-SNR above which the weight of eps falls

    per_logsnr: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not abs(self.bias) <= 40:
            raise ValueError(f"bias={self.bias} of the sigmoid weighting is off every schedule; use one from -40 to 40")

    def __call__(self, logsnr: Tensor, prediction: Prediction) -> Tensor:
        return math.exp(self.bias) * torch.sigmoid(logsnr - self.bias) / 2  # = sigmoid(bias - logsnr) e^logsnr / 2


WEIGHTINGS: dict[str, type] = {
    "simple": Simple,
    "snr": SNR,
    "min_snr": MinSNR,
    "truncated_snr": TruncatedSNR,
    "p2": P2,
    "edm": EDM,
    "elbo": ELBO,
    "sigmoid": Sigmoid,
    "uncertainty": Uncertainty,
}

EXCESS = 1000  # times the median factor, from which on a few draws make the gradient


def excess(weighting: Weighting, prediction: Prediction, logsnr: Tensor) -> str | None:
    """A sentence if w / k is far larger at some of the levels than at most, else None.

    That is so of snr with x0 near the data, where w / k = e^logsnr, and of truncated_snr with eps near the noise.
    """
    factor = weighting(logsnr, prediction) / prediction.k(logsnr)
    times = (factor.max() / factor.median()).item()
    if times <= EXCESS:
        return None
    name = next((name for name, cls in WEIGHTINGS.items() if cls is type(weighting)), type(weighting).__name__)
    predicted = next(name for name, row in PREDICTIONS.items() if row is prediction)
    return (
        f'weighting "{name}" with prediction "{predicted}" multiplies the loss near logsnr '
        f"{logsnr[factor.argmax()].item():.1f} by {times:.0e} times what it does at most levels, so that a few draws "
        'drown the others; use prediction "v", or another weighting'
    )
