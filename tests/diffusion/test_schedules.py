"""Continuous schedules: the figures that others publish, and what every schedule keeps to."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from filmgrain.diffusion.schedules import SCHEDULES, Cosine, Flow, Schedule, Sigmoid, shift_of

F64 = torch.float64
QUARTERS = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=F64)
INSIDE = torch.linspace(0.01, 0.99, 99, dtype=F64)
SHIFTED = {name: kind for name, kind in SCHEDULES.items() if hasattr(kind(), "shift")}
schedules = pytest.mark.parametrize("name", SCHEDULES)


def test_cosine_at_the_quarters():
    expected = torch.tensor([20, 1.7626, 0, -1.7626, -20], dtype=F64)
    torch.testing.assert_close(Cosine()(QUARTERS), expected, rtol=0, atol=1e-4)


def test_cosine_follows_the_cosine_in_the_middle():
    t = torch.linspace(0.05, 0.95, 19, dtype=F64)
    torch.testing.assert_close(Cosine()(t).sigmoid().sqrt(), (math.pi / 2 * t).cos(), rtol=1e-3, atol=1e-4)


def test_flow_is_the_straight_line():
    torch.testing.assert_close((Flow()(INSIDE) / 2).exp(), (1 - INSIDE) / INSIDE)
    assert Flow()(QUARTERS)[[0, -1]].tolist() == [20, -20]


@pytest.mark.parametrize(
    ("start", "end", "tau"), [(-3.0, 3.0, 1.0), (-3.0, 3.0, 0.3), (0.0, 3.0, 0.7), (-1.0, 5.0, 1.1)]
)
def test_sigmoid_is_its_published_formula(start, end, tau):
    """gamma = alpha^2 of Chen 2023, algorithm 1, written as there."""
    first, last = (1 / (1 + math.exp(-x / tau)) for x in (start, end))
    gamma = (last - torch.sigmoid((INSIDE * (end - start) + start) / tau)) / (last - first)
    ours = Sigmoid(start=start, end=end, tau=tau)
    torch.testing.assert_close(ours(INSIDE).sigmoid(), gamma, rtol=1e-12, atol=1e-14)
    assert ours(QUARTERS)[[0, -1]].tolist() == [20, -20]


def test_sigmoid_in_figures():
    """By hand at t = 1/4: log((0.952574 - 0.182426) / (0.182426 - 0.047426)) = 1.7413."""
    expected = torch.tensor([20, 1.741311, 0, -1.741311, -20], dtype=F64)
    torch.testing.assert_close(Sigmoid()(QUARTERS), expected, rtol=0, atol=1e-6)


def test_a_hot_sigmoid_is_linear_in_the_variance_and_a_cold_one_stays_finite():
    torch.testing.assert_close(Sigmoid(tau=1e4)(INSIDE).sigmoid(), 1 - INSIDE, rtol=1e-6, atol=0)
    cold = Sigmoid(tau=1e-3)(torch.linspace(0, 1, 1001, dtype=F64))
    assert cold.isfinite().all() and (cold.diff() <= 0).all() and cold[500] == 0


@pytest.mark.parametrize("name", SHIFTED)
@pytest.mark.parametrize("shift", [-3.0, 1.5])
def test_a_shift_is_in_nats(name, shift):
    t = torch.linspace(0, 1, 33, dtype=F64)
    assert torch.equal(SHIFTED[name](shift=shift)(t), SHIFTED[name]()(t) + shift)


def test_the_shift_by_resolution():
    assert shift_of(64) == 0 and shift_of(32, base=32) == 0
    assert shift_of(128) == pytest.approx(-2 * math.log(2), abs=1e-15)
    assert shift_of(256) - shift_of(128) == pytest.approx(shift_of(128), abs=1e-15)


def test_the_shift_keeps_the_noise_of_averaged_pixels():
    """4 x 4 pixels of a picture of 256, averaged, have the signal to noise of a pixel of one of 64."""
    small, large = Cosine(), Cosine(shift=shift_of(256))
    for t in QUARTERS[1:-1]:
        signal, noise = large(t).sigmoid(), (-large(t)).sigmoid() / 4**2
        torch.testing.assert_close((signal / noise).log(), small(t))


@pytest.mark.parametrize("m", [1.5, 3.0])
def test_the_shift_of_flow_is_that_of_time(m):
    """t -> m t / (1 + (m - 1) t), Esser et al. 2024, is -2 log m nats."""
    torch.testing.assert_close(Flow(shift=-2 * math.log(m))(INSIDE), Flow()(m * INSIDE / (1 + (m - 1) * INSIDE)))


@schedules
def test_logsnr_falls_with_time(name):
    t = torch.linspace(0, 1, 1001, dtype=F64)
    logsnr = SCHEDULES[name]()(t)
    assert logsnr.isfinite().all() and (logsnr.diff() <= 0).all() and logsnr[0] > 5 and logsnr[-1] < -5


@schedules
def test_dtype_and_shape_are_those_of_the_time(name):
    for t in (torch.rand(2, 3), torch.tensor(0.5, dtype=F64), torch.empty(0)):
        logsnr = SCHEDULES[name]()(t)
        assert logsnr.dtype == t.dtype and logsnr.shape == t.shape


@schedules
def test_float32_times_give_the_levels_of_float64(name):
    """To what float32 can tell: times near 0 and 1 are half a unit in the last place away from what was meant."""
    t = torch.linspace(0, 1, 1001, dtype=F64)
    torch.testing.assert_close(SCHEDULES[name]()(t.float()).double(), SCHEDULES[name]()(t), rtol=1e-4, atol=1e-3)


@schedules
def test_schedules_are_values(name):
    assert isinstance(SCHEDULES[name](), Schedule)
    assert SCHEDULES[name]() == SCHEDULES[name]() and hash(SCHEDULES[name]()) == hash(SCHEDULES[name]())


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(sorted(SHIFTED)),
    low=st.floats(-30, -1),
    high=st.floats(1, 30),
    shift=st.floats(-6, 6),
    data=st.data(),
)
def test_whatever_its_range_a_schedule_runs_from_end_to_end(name, low, high, shift, data):
    options = {}
    if name == "sigmoid":
        start = data.draw(st.floats(-5, 4))
        options = {"start": start, "end": start + data.draw(st.floats(0.1, 8)), "tau": data.draw(st.floats(0.05, 20))}
    schedule = SHIFTED[name](logsnr_min=low, logsnr_max=high, shift=shift, **options)
    logsnr = schedule(torch.linspace(0, 1, 257, dtype=F64))
    assert logsnr.isfinite().all() and (logsnr.diff() <= 1e-9).all()
    assert logsnr[[0, -1]].tolist() == pytest.approx([high + shift, low + shift], abs=1e-6)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Cosine(logsnr_min=3, logsnr_max=-3), "logsnr_min=3"),
        (lambda: Cosine(logsnr_max=math.inf), "logsnr_max=inf"),
        (lambda: Cosine(shift=math.nan), "shift=nan"),
        (lambda: Flow(logsnr_min=1, logsnr_max=1), "logsnr_min=1"),
        (lambda: Flow(logsnr_min=math.nan), "logsnr_min=nan"),
        (lambda: Flow(shift=math.inf), "shift=inf"),
        (lambda: Sigmoid(logsnr_min=0, logsnr_max=0), "logsnr_min=0"),
        (lambda: Sigmoid(start=3.0, end=-3.0), "start=3.0, end=-3.0"),
        (lambda: Sigmoid(start=1.0, end=1.0), "use start < end"),
        (lambda: Sigmoid(tau=0.0), "tau=0.0"),
        (lambda: Sigmoid(tau=math.nan), "tau=nan"),
        (lambda: shift_of(0), "resolution=0"),
        (lambda: shift_of(64, base=-1), "base=-1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(wrong, words):
    with pytest.raises(ValueError, match=words) as caught:
        wrong()
    assert "\n" not in str(caught.value)
