"""Schedules: the figures that others publish, tables read at their own times, and grids."""

import math

import pytest
import torch

from filmgrain.diffusion.grids import levels as grid
from filmgrain.diffusion.schedules import SCHEDULES, Cosine, Flow
from filmgrain.diffusion.tables import CosineBeta, Discrete, LinearBeta, look_up

F64 = torch.float64
QUARTERS = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=F64)
schedules = pytest.mark.parametrize("name", SCHEDULES)


def test_cosine_at_the_quarters():
    expected = torch.tensor([20, 1.7626, 0, -1.7626, -20], dtype=F64)
    torch.testing.assert_close(Cosine()(QUARTERS), expected, rtol=0, atol=1e-4)


def test_cosine_follows_the_cosine_in_the_middle():
    t = torch.linspace(0.05, 0.95, 19, dtype=F64)
    torch.testing.assert_close(Cosine()(t).sigmoid().sqrt(), (math.pi / 2 * t).cos(), rtol=1e-3, atol=1e-4)


def test_cosine_shifts_in_nats():
    assert torch.equal(Cosine(shift=-1.5)(QUARTERS), Cosine()(QUARTERS) - 1.5)


def test_flow_is_the_straight_line():
    t = torch.linspace(0.01, 0.99, 99, dtype=F64)
    torch.testing.assert_close((Flow()(t) / 2).exp(), (1 - t) / t)
    assert Flow()(QUARTERS)[[0, -1]].tolist() == [20, -20]


def test_linear_beta_has_the_published_alpha_bar():
    index = [0, 1, 99, 249, 499, 749, 999]
    published = [0.9999, 0.9997800921, 0.8970181457, 0.5240853738, 0.0785872429, 0.0033505504, 4.0358298e-5]
    alpha_bar = LinearBeta().table.sigmoid()[index]
    torch.testing.assert_close(alpha_bar, torch.tensor(published, dtype=F64), rtol=5e-8, atol=5e-11)


def decibels(logsnr):
    return 10 * logsnr.item() / math.log(10)


def test_fewer_steps_need_scaled_betas():
    """Mistake 5: T = 300 with the betas of T = 1000 leaves far too much signal to start from N(0, I)."""
    unscaled = LinearBeta(steps=300, scale=False).table
    assert unscaled[-1].sigmoid().item() == pytest.approx(0.0480584289, rel=1e-8)
    assert decibels(unscaled[-1]) == pytest.approx(-12.97, abs=0.005)
    assert decibels(LinearBeta().table[-1]) == pytest.approx(-43.94, abs=0.005)
    for steps in (20, 100, 300):
        assert decibels(LinearBeta(steps=steps).table[-1]) < -40


def test_cosine_beta_is_its_formula_but_for_the_last_step():
    f = ((torch.linspace(0, 1, 1001, dtype=F64) + 0.008) / 1.008 * math.pi / 2).cos() ** 2
    torch.testing.assert_close(CosineBeta().table.sigmoid()[:-1], (f / f[0])[1:-1], rtol=1e-8, atol=0)
    assert CosineBeta().table[-1].isfinite()


@schedules
def test_logsnr_falls_with_time(name):
    t = torch.linspace(0, 1, 1001, dtype=F64)
    logsnr = SCHEDULES[name]()(t)
    assert logsnr.isfinite().all() and (logsnr.diff() <= 0).all() and logsnr[0] > 5 and logsnr[-1] < -5


@schedules
def test_dtype_and_shape_are_those_of_the_time(name):
    for t in (torch.rand(2, 3), torch.tensor(0.5, dtype=F64)):
        logsnr = SCHEDULES[name]()(t)
        assert logsnr.dtype == t.dtype and logsnr.shape == t.shape


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("steps", [2, 3, 7, 300, 1000])
def test_time_k_of_T_is_step_k(steps, dtype):
    table = torch.arange(steps, 0, -1, dtype=dtype)  # distinct whole numbers: exact in both dtypes
    k = torch.arange(1, steps + 1)
    assert torch.equal(look_up(table, (k / torch.tensor(steps, dtype=dtype)).to(dtype)), table[k - 1])
    between = (k - 0.5).to(dtype) / steps
    assert torch.equal(look_up(table, between), table[k - 1])  # ceil(k - 1/2) = k
    assert look_up(table, torch.zeros(1, dtype=dtype)) == table[0]


@pytest.mark.parametrize(
    "schedule", [*(LinearBeta(steps=T) for T in (2, 7, 300, 1000)), CosineBeta(steps=300)], ids=str
)
def test_the_grid_of_T_steps_is_the_table(schedule):
    levels = grid(schedule, schedule.steps)
    assert torch.equal(levels[:-1], schedule.table.flip(0).float())
    assert levels[-1] == math.inf


@schedules
@pytest.mark.parametrize("steps", [1, 2, 3, 50, 257])
def test_a_grid_rises_from_noise_to_data(name, steps):
    schedule = SCHEDULES[name]()
    levels = grid(schedule, steps)
    assert len(levels) == steps + 1 and levels.dtype == torch.float32
    assert (levels.diff() > 0).all() and levels[-1] == math.inf and levels[:-1].isfinite().all()
    assert levels[0] == schedule(torch.ones(1, dtype=F64)).float()


def test_only_tables_are_discrete():
    assert {name for name, kind in SCHEDULES.items() if isinstance(kind(), Discrete)} == {
        "linear_beta",
        "scaled_linear_beta",
        "cosine_beta",
    }


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: grid(Cosine(), 0), "steps=0"),
        (lambda: grid(LinearBeta(steps=7), 8), "more than the 7 levels"),
        (lambda: Cosine(logsnr_min=3, logsnr_max=-3), "logsnr_min=3"),
        (lambda: Flow(logsnr_min=1, logsnr_max=1), "logsnr_min=1"),
        (lambda: LinearBeta(steps=1), "steps=1"),
        (lambda: CosineBeta(steps=0), "steps=0"),
        (lambda: LinearBeta(beta_first=0.0), "beta_first=0.0"),
        (lambda: LinearBeta(beta_last=1.5), "beta_last=1.5"),
        (lambda: CosineBeta(beta_max=1.0), "beta_max=1.0"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(wrong, words):
    with pytest.raises(ValueError, match=words) as caught:
        wrong()
    assert "\n" not in str(caught.value)


def test_a_grid_for_a_device_without_float64_is_made_on_the_cpu():
    asked = []

    def schedule(t):
        asked.append((t.device.type, t.dtype))
        return Cosine()(t)

    levels = grid(schedule, 4, device="meta")
    assert asked == [("cpu", torch.float64)] and (levels.device.type, levels.dtype) == ("meta", torch.float32)
