"""Warnings of the noisy end: for whom, with which figure, and what to do."""

import math

import pytest
import torch

from filmgrain.analytic.gaussian import Gaussian
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
        pytest.param(torch.neg, "-4.34 dB", "one that ends in more noise", id="one of the user's own"),
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


@pytest.mark.parametrize(
    ("schedule", "short", "n"),
    [
        (LinearBeta(), 0.003, 24_777),
        (ScaledLinearBeta(), 0.034, 214),
        (LinearBeta(steps=300, scale=False), 0.112, 20),
    ],
    ids=str,
)
def test_what_noise_alone_costs(schedule, short, n):
    """Of data N(m, (m / 2)^2): the exact flow from z = 0, the mean of noise, ends short of m; of n values, 1 / SNR."""
    data, t = Gaussian.isotropic(1, mean=1.0, std=0.5), schedule.table[-1]
    end = data.flow(torch.zeros(1, 1, dtype=torch.float64), t, math.inf).item()
    assert 1 - end == pytest.approx(short, abs=0.0005)
    a, s = alpha(t), sigma(t)
    assert 1 - end == pytest.approx((a * 0.5 / (a**2 * 0.25 + s**2).sqrt()).item(), rel=1e-9)
    assert round((-t).exp().item()) == n
    with_signal = data.flow(alpha(t).reshape(1, 1), t, math.inf).item()  # from where training ends
    assert with_signal == pytest.approx(1, abs=1e-9)


def test_the_threshold_in_the_same_measures():
    t = torch.tensor(terminal.SIGNAL_MAX * math.log(10) / 10, dtype=torch.float64)
    assert (-t).exp().item() == pytest.approx(1000)
    end = Gaussian.isotropic(1, mean=1.0, std=0.5).flow(torch.zeros(1, 1, dtype=torch.float64), t, math.inf)
    assert 1 - end.item() == pytest.approx(0.016, abs=0.0005)


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
