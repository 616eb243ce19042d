"""Warnings of the noisy end: for whom, with which figure, and what to do."""

import math

import pytest
import torch

from filmgrain.diffusion import terminal
from filmgrain.diffusion.process import alpha, sigma
from filmgrain.diffusion.schedules import SCHEDULES, Cosine, Flow, Sigmoid
from filmgrain.diffusion.tables import CosineBeta, LinearBeta, ScaledLinearBeta


@pytest.mark.parametrize(
    ("schedule", "figure", "remedy"),
    [
        (LinearBeta(steps=300, scale=False), "-12.97 dB", "use scale=true, or zero_terminal_snr=true"),
        (ScaledLinearBeta(), "-23.30 dB", "use zero_terminal_snr=true and predict v"),
        (Cosine(logsnr_min=-6, logsnr_max=6), "-26.06 dB", "use a lower logsnr_min or shift"),
        (Flow(shift=14), "-26.06 dB", "lower logsnr_min or shift"),
        (lambda t: -t, "-4.34 dB", "one that ends in more noise"),
    ],
    ids=str,
)
def test_signal_that_is_left_is_told_in_one_sentence(schedule, figure, remedy):
    """Mistake 5: T = 300 with the betas of T = 1000."""
    line = terminal.warning(schedule)
    assert figure in line and remedy in line and "\n" not in line


@pytest.mark.parametrize(
    "schedule",
    [
        *(SCHEDULES[name]() for name in SCHEDULES if name != "scaled_linear_beta"),
        *(LinearBeta(steps=T) for T in (2, 20, 300, 4000)),
        *(kind(zero_terminal_snr=True) for kind in (LinearBeta, ScaledLinearBeta, CosineBeta)),
        LinearBeta(steps=300, scale=False, zero_terminal_snr=True),
        ScaledLinearBeta(steps=300, scale=False, zero_terminal_snr=True),
        Cosine(logsnr_min=-12, logsnr_max=12, shift=-3),
        Sigmoid(tau=0.3),
    ],
    ids=str,
)
def test_schedules_that_end_in_noise_are_passed(schedule):
    assert terminal.warning(schedule) is None


def test_the_figures_of_the_docstring():
    """n values of size 1 make one deviation of the noise: n = 1 / SNR."""
    for schedule, n in ((LinearBeta(), 24_777), (ScaledLinearBeta(), 214), (LinearBeta(steps=300, scale=False), 20)):
        assert round((-schedule.table[-1]).exp().item()) == n
    assert math.isclose(terminal.SIGNAL_MAX, -10 * math.log10(1000))


def test_what_is_warned_of_goes_wrong():
    """Data: white pictures and black ones. What the best denoiser makes of the last level is white, black or between.

    x0 = w (1, ..., 1) with w = +-1 has E[w | z] = tanh(alpha / sigma^2 sum z). Pure noise looks greyer to it than the
    last level of training does, by much or by next to nothing.
    """
    eps = torch.randn(
        4000, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )  # pictures of 64 values

    def greyer(schedule):
        a, s = alpha(schedule.table[-1]), sigma(schedule.table[-1])
        trained, sampled = ((a / s**2 * z.sum(1)).tanh().abs().mean() for z in (a + s * eps, eps))
        return (trained - sampled).item()

    assert greyer(LinearBeta(steps=300, scale=False)) > 0.05
    assert abs(greyer(LinearBeta())) < 0.002


@pytest.mark.parametrize(
    ("schedule", "factor"),
    [(Cosine(), "22,026"), (ScaledLinearBeta(zero_terminal_snr=True), "4,096"), (CosineBeta(), "64,1")],
    ids=str,
)
def test_eps_without_clipping_is_warned_of_where_its_error_grows(schedule, factor):
    line = terminal.warning_unclipped(schedule, "eps")
    assert factor in line and "predict v" in line and "\n" not in line
    for prediction in ("v", "x0", "flow"):
        assert terminal.warning_unclipped(schedule, prediction) is None


def test_eps_is_fine_where_ddpms_end():
    assert terminal.warning_unclipped(LinearBeta(), "eps") is None
    assert terminal.warning_unclipped(ScaledLinearBeta(), "eps") is None
