"""Each weighting against the formula of its own paper, in that paper's own letters; and what explodes."""

import math

import pytest
import torch

from filmgrain.diffusion.prediction import EPS, FLOW, PREDICTIONS, X0, V
from filmgrain.diffusion.schedules import Cosine
from filmgrain.diffusion.tables import LinearBeta
from filmgrain.diffusion.weighting import EDM, ELBO, P2, SNR, WEIGHTINGS, MinSNR, Sigmoid, Simple, TruncatedSNR, excess

LOGSNR = torch.linspace(-15, 15, 61, dtype=torch.float64)
SNRS = LOGSNR.exp()


def factor(weighting, prediction):
    """w / k: what multiplies the error of the network's own output."""
    return weighting(LOGSNR, prediction) / prediction.k(LOGSNR)


close = torch.testing.assert_close


def test_figures_at_log_snr_zero():
    """At SNR 1, by hand."""
    zero = torch.zeros(1, dtype=torch.float64)
    expected = {
        "simple": 2,  # k of v
        "snr": 1,
        "min_snr": 1,
        "truncated_snr": 1,
        "p2": 1 / 2,
        "edm": 5,  # 1 + 1 / 0.5^2
        "elbo": 1 / 2,
        "sigmoid": 0.4403985,  # sigmoid(2) / 2
        "uncertainty": 2,  # simple, before training
    }
    assert {name: round(cls()(zero, V).item(), 7) for name, cls in WEIGHTINGS.items()} == expected


def test_simple_is_no_factor():
    for prediction in PREDICTIONS.values():
        close(factor(Simple(), prediction), torch.ones_like(LOGSNR))


def test_snr_is_the_error_of_eps():
    close(factor(SNR(), EPS), torch.ones_like(LOGSNR))


def test_the_three_forms_of_min_snr_are_one_function():
    """Hang et al. 2023: min(SNR, g) of x0, over SNR of eps, over SNR + 1 of v. Mistake 19 is max in place of min."""
    least = SNRS.clamp(max=5)
    close(factor(MinSNR(), X0), least)
    close(factor(MinSNR(), EPS), least / SNRS)
    close(factor(MinSNR(), V), least / (SNRS + 1))
    assert factor(MinSNR(), X0)[-1] == 5 and factor(MinSNR(), EPS)[0] == 1 and factor(MinSNR(), V)[-1] < 1e-5


def test_truncated_snr_of_x0_and_of_v():
    """Salimans & Ho 2022, sec. 4: max(alpha^2 / sigma^2, 1) of x0; and their SNR + 1 is simple with v."""
    close(factor(TruncatedSNR(), X0), (LOGSNR.sigmoid() / (-LOGSNR).sigmoid()).clamp(min=1))
    close(SNRS + 1, Simple()(LOGSNR, V))


@pytest.mark.parametrize(("gamma", "k"), [(1.0, 1.0), (0.5, 1.0), (1.0, 0.1)])
def test_p2_divides_the_error_of_eps(gamma, k):
    """Choi et al. 2022: lambda_t of L_simple over (k + SNR)^gamma."""
    close(factor(P2(gamma=gamma, k=k), EPS), 1 / (k + SNRS) ** gamma)
    close(factor(P2(gamma=0), EPS), factor(SNR(), EPS))


@pytest.mark.parametrize("s", [0.5, 1.0])
def test_edm_in_its_own_noise(s):
    """Karras et al. 2022, table 1: (r^2 + s^2) / (r s)^2 of the denoiser's error; 1 / c_out^2."""
    r = (-LOGSNR / 2).exp()
    close(EDM(sigma_data=s)(LOGSNR, V), (r**2 + s**2) / (r * s) ** 2)
    c_out = r * s / (r**2 + s**2).sqrt()
    close(EDM(sigma_data=s)(LOGSNR, V), c_out**-2)
    if s == 1:
        close(factor(EDM(sigma_data=s), V), torch.ones_like(LOGSNR))


@pytest.mark.parametrize("bias", [-1.0, 2.0, 3.0])
def test_sigmoid_weighs_the_bound(bias):
    """Kingma & Gao 2023: L_w = 1/2 E[w(l) (-dl/dt) |eps - eps_hat|^2], w = sigmoid(bias - l)."""
    close(factor(Sigmoid(bias=bias), EPS), (bias - LOGSNR).sigmoid() / 2)
    close(Sigmoid(bias=bias)(LOGSNR, V), math.exp(bias) * (LOGSNR - bias).sigmoid() / 2)
    close(factor(ELBO(), EPS), torch.full_like(LOGSNR, 0.5))
    close(Sigmoid(bias=40.0)(LOGSNR, V), ELBO()(LOGSNR, V))
    far = torch.tensor([500.0], dtype=torch.float64)
    assert Sigmoid()(far, V).isfinite().all()


def test_which_are_per_log_snr():
    assert {name for name, cls in WEIGHTINGS.items() if getattr(cls(), "per_logsnr", False)} == {"elbo", "sigmoid"}


MIDPOINTS = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000


@pytest.mark.parametrize(
    ("weighting", "prediction", "end"),
    [
        (SNR(), X0, "14."),
        (TruncatedSNR(), X0, "14."),
        (TruncatedSNR(), EPS, "-14."),
        (EDM(), X0, "14."),
        (EDM(), EPS, "-14."),
        (ELBO(), X0, "14."),
    ],
)
def test_what_explodes_is_said_in_one_line(weighting, prediction, end):
    said = excess(weighting, prediction, Cosine()(MIDPOINTS))
    assert said is not None and "\n" not in said and f"near logsnr {end}" in said
    assert next(name for name, cls in WEIGHTINGS.items() if cls is type(weighting)) in said


@pytest.mark.parametrize("schedule", [Cosine(), LinearBeta()], ids=["cosine", "linear_beta"])
def test_what_is_usual_does_not_explode(schedule):
    levels = schedule(MIDPOINTS)
    for prediction in PREDICTIONS.values():
        assert excess(Simple(), prediction, levels) is None
        assert excess(MinSNR(), prediction, levels) is None
    for weighting in (SNR(), P2(), ELBO(), Sigmoid()):
        assert excess(weighting, EPS, levels) is None
    for weighting in (cls() for cls in WEIGHTINGS.values()):
        assert excess(weighting, V, levels) is None and excess(weighting, FLOW, levels) is None
    assert excess(TruncatedSNR(high=10), X0, levels) is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: P2(gamma=-1.0), "gamma=-1.0"),
        (lambda: P2(k=0.0), "k=0.0"),
        (lambda: EDM(sigma_data=0.0), "sigma_data=0.0"),
        (lambda: Sigmoid(bias=800.0), "bias=800.0"),
        (lambda: WEIGHTINGS["uncertainty"](waves=0), "waves=0"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(wrong, words):
    with pytest.raises(ValueError, match=words) as caught:
        wrong()
    assert "\n" not in str(caught.value)
