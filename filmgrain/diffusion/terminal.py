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

    What n values of x0 share, such as the brightness of a region, stands sqrt(n) alpha / sigma deviations out of the
    noise, where its size is 1. A network learns to go by what it can tell, and pure noise tells it of data of mean
    zero. Above -30 dB, alpha / sigma = 0.032, less than n = 1,000 values make one deviation, a patch of 18 x 18 pixels
    in colour:

        linear_beta, T = 1000, or scaled to it    -43.94 dB    n = 24,777    fine
        scaled_linear_beta, the same              -23.30 dB    n = 214       warned of: Stable Diffusion's pictures are
                                                               all of medium brightness (Lin et al. 2024)
        linear_beta, T = 300, scale = False       -12.97 dB    n = 20        warned of
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
