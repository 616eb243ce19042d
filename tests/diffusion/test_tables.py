"""Discrete schedules: published alpha_bar and betas, other numbers of steps, zero terminal SNR, tables read by time."""

import math

import pytest
import torch

from filmgrain.diffusion.process import renewed, sigma
from filmgrain.diffusion.schedules import SCHEDULES, Sigmoid
from filmgrain.diffusion.tables import (
    ALPHA_BAR_MIN,
    CosineBeta,
    Discrete,
    LinearBeta,
    ScaledLinearBeta,
    SigmoidBeta,
    logsnr_of_betas,
    look_up,
    scaled,
)
from filmgrain.model import Config

F64 = torch.float64
TABLES = [LinearBeta, ScaledLinearBeta, CosineBeta, SigmoidBeta]
tables = pytest.mark.parametrize("kind", TABLES)
lengths = pytest.mark.parametrize("steps", [2, 3, 5, 20, 300, 1000, 4000])


def decibels(logsnr):
    return 10 * logsnr.item() / math.log(10)


def betas_of(table):
    alpha_bar = table.sigmoid()
    return 1 - torch.cat([alpha_bar[:1], alpha_bar[1:] / alpha_bar[:-1]])


def test_linear_beta_has_the_published_alpha_bar():
    index = [0, 1, 99, 249, 499, 749, 999]
    published = [0.9999, 0.9997800921, 0.8970181457, 0.5240853738, 0.0785872429, 0.0033505504, 4.0358298e-5]
    alpha_bar = LinearBeta().table.sigmoid()[index]
    torch.testing.assert_close(alpha_bar, torch.tensor(published, dtype=F64), rtol=5e-8, atol=5e-11)


def test_linear_beta_has_the_published_posterior_variance():
    t, s = LinearBeta().table[1], LinearBeta().table[0]
    assert (renewed(t, s) * sigma(s) ** 2).item() == pytest.approx(5.4531877e-5, rel=5e-8)


def test_the_last_levels_in_decibels():
    assert decibels(LinearBeta().table[-1]) == pytest.approx(-43.94, abs=0.005)
    assert decibels(ScaledLinearBeta().table[-1]) == pytest.approx(-23.30, abs=0.005)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (LinearBeta, torch.linspace(1e-4, 0.02, 1000, dtype=F64)),
        (ScaledLinearBeta, torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=F64) ** 2),
    ],
)
def test_betas_go_in_and_come_out(kind, expected):
    torch.testing.assert_close(betas_of(kind().table), expected, rtol=1e-9, atol=0)


def test_alpha_bar_is_the_product_of_alphas():
    """Mistake 4: alpha_bar called a sum. Against the plain product, where that is exact enough."""
    beta = torch.rand(50, generator=torch.Generator().manual_seed(0), dtype=F64) * 0.2
    torch.testing.assert_close(logsnr_of_betas(beta).sigmoid(), (1 - beta).cumprod(0), rtol=1e-12, atol=0)


@pytest.mark.parametrize("beta", [1e-12, 1e-18])
def test_tiny_betas_are_not_lost_in_one(beta):
    """1 - beta is 1 in float64 for the second; log(beta) must come out all the same."""
    assert logsnr_of_betas(torch.tensor([beta], dtype=F64)).item() == pytest.approx(-math.log(beta), rel=1e-12)


def test_fewer_steps_need_scaled_betas():
    """Mistake 5: T = 300 with the betas of T = 1000 leaves far too much signal to start from N(0, I)."""
    unscaled = LinearBeta(steps=300, scale=False).table
    assert unscaled[-1].sigmoid().item() == pytest.approx(0.0480584289, rel=1e-8)
    assert decibels(unscaled[-1]) == pytest.approx(-12.97, abs=0.005)
    for steps in (20, 100, 300, 4000):
        assert decibels(LinearBeta(steps=steps).table[-1]) < -43
    for steps in (20, 100, 300, 4000):
        assert decibels(ScaledLinearBeta(steps=steps).table[-1]) < -23


def test_scaled_betas_stay_below_one():
    """T = 20 would give the last step a beta of 1, and shorter chains more."""
    assert scaled(torch.full((20,), 0.02, dtype=F64)).max() == 0.999
    assert betas_of(LinearBeta(steps=20).table)[-1].item() == pytest.approx(0.999, abs=1e-9)
    assert torch.equal(scaled(torch.full((1000,), 0.02, dtype=F64)), torch.full((1000,), 0.02, dtype=F64))


def test_cosine_beta_is_its_formula_but_for_the_last_step():
    f = ((torch.linspace(0, 1, 1001, dtype=F64) + 0.008) / 1.008 * math.pi / 2).cos() ** 2
    torch.testing.assert_close(CosineBeta().table.sigmoid()[:-1], (f / f[0])[1:-1], rtol=1e-8, atol=0)
    assert betas_of(CosineBeta().table)[-1].item() == pytest.approx(0.9999, abs=1e-9)
    assert betas_of(CosineBeta(beta_max=0.999).table)[-1].item() == pytest.approx(0.999, abs=1e-9)


@pytest.mark.parametrize("settings", [{}, {"start": 0.0, "tau": 0.9}, {"start": -2.0, "end": 5.0}])
def test_sigmoid_beta_is_the_continuous_one_at_its_steps_but_for_the_last(settings):
    table, t = SigmoidBeta(**settings).table, torch.arange(1, 1001, dtype=F64) / 1000
    continuous = Sigmoid(logsnr_min=-50.0, logsnr_max=50.0, **settings)(t)
    torch.testing.assert_close(table[:-1], continuous[:-1], rtol=0, atol=1e-9)
    assert betas_of(table)[-1].item() == pytest.approx(0.999, abs=1e-9)


@tables
@lengths
@pytest.mark.parametrize("zero_terminal_snr", [False, True])
def test_every_table_falls_at_every_step(kind, steps, zero_terminal_snr):
    table = kind(steps=steps, zero_terminal_snr=zero_terminal_snr).table
    assert table.shape == (steps,) and table.dtype == F64 and table.isfinite().all()
    assert (table.diff() < 0).all()
    assert (table.float().diff() < 0).all()  # networks and samplers see them so


@tables
@lengths
def test_zero_terminal_snr_is_reached_to_2_to_the_minus_24(kind, steps):
    table = kind(steps=steps, zero_terminal_snr=True).table
    assert table[-1].sigmoid().item() <= ALPHA_BAR_MIN * (1 + 1e-9)
    assert table[0].item() == pytest.approx(kind(steps=steps).table[0].item(), rel=1e-9)  # the first step stays


def test_zero_terminal_snr_is_algorithm_1_of_lin_et_al():
    """Its betas, written as there, for Stable Diffusion's; the last alpha_bar, 0 there, is 2^-24 here."""
    beta = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=F64) ** 2
    root = (1 - beta).cumprod(0).sqrt()
    first, final = root[0].clone(), root[-1].clone()
    root = (root - final) * first / (first - final)
    bar = root**2
    expected = 1 - torch.cat([bar[:1], bar[1:] / bar[:-1]])
    table = ScaledLinearBeta(zero_terminal_snr=True).table
    torch.testing.assert_close(betas_of(table)[:-1], expected[:-1], rtol=1e-7, atol=1e-12)
    assert bar[-1] == 0 and table[-1].sigmoid().item() == pytest.approx(2**-24, rel=1e-9)
    assert decibels(table[-1]) == pytest.approx(-72.25, abs=0.005)


def test_the_last_level_falls_below_the_one_before_even_where_that_is_below_2_to_the_minus_24():
    alpha_bar = LinearBeta(zero_terminal_snr=True).table.sigmoid()
    assert alpha_bar[-2].item() == pytest.approx(4.2133e-9, rel=1e-4)
    assert alpha_bar[-1].item() == pytest.approx(alpha_bar[-2].item() / 2, rel=1e-9)


def test_a_table_that_ends_in_less_is_left_alone():
    for steps, same in ((1000, True), (64, True), (63, False), (20, False)):
        table = CosineBeta(steps=steps, zero_terminal_snr=True).table
        assert torch.equal(table, CosineBeta(steps=steps).table) == same


def test_eps_is_refused_with_zero_terminal_snr():
    for kind in TABLES:
        schedule = kind(zero_terminal_snr=True)
        with pytest.raises(ValueError, match=r'zero_terminal_snr=true: .* use "v"'):
            Config(prediction="eps", schedule=schedule)
        for prediction in ("v", "x0", "flow"):
            Config(prediction=prediction, schedule=schedule)
        Config(prediction="eps", schedule=kind())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("steps", [2, 3, 7, 300, 1000])
def test_time_k_of_T_is_step_k(steps, dtype):
    table = torch.arange(steps, 0, -1, dtype=dtype)  # distinct whole numbers: exact in both dtypes
    k = torch.arange(1, steps + 1)
    assert torch.equal(look_up(table, (k / torch.tensor(steps, dtype=dtype)).to(dtype)), table[k - 1])
    between = (k - 0.5).to(dtype) / steps
    assert torch.equal(look_up(table, between), table[k - 1])  # ceil(k - 1/2) = k
    assert look_up(table, torch.zeros(1, dtype=dtype)) == table[0]


def test_only_tables_are_discrete():
    assert {kind for kind in SCHEDULES.values() if isinstance(kind(), Discrete)} == set(TABLES)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: LinearBeta(steps=1), "steps=1"),
        (lambda: ScaledLinearBeta(steps=-3), "steps=-3"),
        (lambda: CosineBeta(steps=0), "steps=0"),
        (lambda: LinearBeta(beta_first=0.0), "beta_first=0.0"),
        (lambda: LinearBeta(beta_last=1.5), "beta_last=1.5"),
        (lambda: LinearBeta(beta_last=math.nan), "beta_last=nan"),
        (lambda: ScaledLinearBeta(beta_first=0.02), "beta_first=0.02"),
        (lambda: CosineBeta(beta_max=1.0), "beta_max=1.0"),
        (lambda: CosineBeta(s=-0.1), "s=-0.1"),
        (lambda: SigmoidBeta(steps=1), "steps=1"),
        (lambda: SigmoidBeta(beta_max=0.0), "beta_max=0.0"),
        (lambda: SigmoidBeta(start=3.0), "start=3.0, end=3.0, tau=1.0 are no sigmoid"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(wrong, words):
    with pytest.raises(ValueError, match=words) as caught:
        wrong()
    assert "\n" not in str(caught.value)
