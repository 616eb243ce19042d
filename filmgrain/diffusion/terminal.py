"""What goes wrong at the noisy end of a schedule: one sentence that says so, or None.

In training, z at t = 1 is alpha x0 + sigma eps; sampling begins at eps alone.
"""

import math

import torch

from .prediction import PREDICTIONS
from .schedules import Schedule

SIGNAL_MAX = -30.0  # dB that may be left at t = 1
ERROR_MAX = 512.0  # times the network's own


def warning(schedule: Schedule) -> str | None:
    """Of a schedule that keeps so much of x0 at t = 1 that samples begun from noise alone lack it.

    A network learns to go by what it can tell of x0, and pure noise tells it of data of mean zero. Two measures, of the
    mean of data N(m, s^2): the exact flow from noise alone ends short of it by the part alpha s / sqrt(alpha^2 s^2 +
    sigma^2), here for s = 1/2; and n values that share a brightness of 1 tell it by one deviation of the noise, n = 1 /
    SNR. -30 dB, where the part is 1.6 % and n = 1,000 (18 x 18 pixels in colour), parts what is known to work from
    what is known not to:

        linear_beta, any T if scaled           -43.94 dB    0.3 %    n = 24,777    works (Ho et al. 2020)
        scaled_linear_beta, the same           -23.30 dB    3.4 %    n = 214       Stable Diffusion's: its pictures are
                                                                       of medium brightness (Lin et al. 2024)
        linear_beta, T = 300, scale = False    -12.97 dB    11 %     n = 20        a tutorial's
    """
    logsnr = _last(schedule)
    decibels = 10 * logsnr / math.log(10)
    if decibels <= SIGNAL_MAX:
        return None
    remedy = _remedy(schedule)
    return (
        f"the schedule ends at {decibels:.2f} dB, x0 being {math.exp(logsnr / 2):.2g} times as large as the noise, but "
        f"sampling starts from noise alone: brightness and all else that is large will tend to the mean; {remedy}"
    )


def warning_unclipped(schedule: Schedule, prediction: str) -> str | None:
    """Of a prediction whose error is multiplied in x0 beyond all use; for samplers that do not clip x0.

    The factor is k^(-1/2) of prediction.py: e^(-logsnr / 2) for eps, at most 1 for all others. At 512, the rounding of
    bfloat16 alone, 2^-9 of an output of size 1, becomes an error as large as the data.
    """
    logsnr = torch.tensor(_last(schedule), dtype=torch.float64)
    factor = PREDICTIONS[prediction].k(logsnr).rsqrt().item()
    if factor <= ERROR_MAX:
        return None
    return (
        f'at the last log-SNR, {logsnr:.1f}, prediction="{prediction}" multiplies the error of the network by '
        f"{factor:,.0f} in x0, and nothing clips it; predict v, or end at -2 log {ERROR_MAX:.0f} = -12.5 or above"
    )


def _last(schedule: Schedule) -> float:
    return schedule(torch.ones(1, dtype=torch.float64)).item()


def _remedy(schedule: Schedule) -> str:
    if hasattr(schedule, "zero_terminal_snr"):
        rescaled = "zero_terminal_snr=true and predict v"
        return f"use {rescaled}" if getattr(schedule, "scale", True) else f"use scale=true, or {rescaled}"
    return "use a lower logsnr_min or shift" if hasattr(schedule, "logsnr_min") else "use one that ends in more noise"
