"""Grids: each by its formula, and what every one of them keeps to on every schedule."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from filmgrain.analytic.gaussian import Gaussian
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.grids import GRIDS, levels, of_list
from filmgrain.diffusion.schedules import SCHEDULES, Cosine, Flow
from filmgrain.diffusion.tables import CosineBeta, Discrete, LinearBeta, ScaledLinearBeta
from filmgrain.samplers import ddim, last

F64 = torch.float64
OF_TABLES = ("trailing", "leading", "table")
schedules = pytest.mark.parametrize("name", SCHEDULES)


def steps_of(table, grid):
    """The steps 1 ... T at which the finite levels stand."""
    table = table.float().tolist()
    return [table.index(level) + 1 for level in grid[:-1].tolist()]


def possible(schedule, grid, steps):
    """Whether there is such a grid; `table` has one number of steps alone."""
    if not isinstance(schedule, Discrete):
        return grid not in OF_TABLES
    T = len(schedule.table)
    return {"table": steps == T, "leading": 2 <= steps <= T, "karras": True, "logsnr": True}.get(grid, steps <= T)


def assert_sound(grid, schedule, steps):
    assert grid.shape == (steps + 1,) and grid.dtype == torch.float32 and grid.device.type == "cpu"
    assert (grid.diff() > 0).all() and grid[-1] == math.inf and grid[:-1].isfinite().all()
    noise, data = schedule(torch.tensor([1.0, 0.0], dtype=F64)).tolist()
    assert noise - 1e-4 <= grid[0] and grid[-2] <= data + 1e-4


@schedules
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("steps", [1, 2, 3, 50, 257, 1000])
def test_every_grid_rises_from_noise_to_data(name, grid, steps):
    schedule = SCHEDULES[name]()
    if not possible(schedule, grid, steps):
        with pytest.raises(ValueError, match="use"):
            levels(schedule, steps, grid)
        return
    found = levels(schedule, steps, grid)
    assert_sound(found, schedule, steps)
    noise = schedule(torch.ones(1, dtype=F64)).item()
    if grid in ("karras", "logsnr"):  # cut at the ends of their papers
        assert found[0].item() == pytest.approx(max(noise, -2 * math.log(80)), rel=1e-6)
        wide = levels(schedule, steps, grid, r_max=1e9, r_min=1e-9)
        assert wide[0].item() == pytest.approx(noise, rel=1e-6) and (wide.diff() > 0).all()
    elif grid != "leading":
        assert found[0].item() == pytest.approx(noise, rel=1e-6)


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from([LinearBeta, ScaledLinearBeta, CosineBeta]),
    T=st.integers(2, 400),
    zero=st.booleans(),
    grid=st.sampled_from(sorted(GRIDS)),
    share=st.floats(0.001, 1),
)
def test_grids_of_tables_of_any_length(kind, T, zero, grid, share):
    schedule = kind(steps=T, zero_terminal_snr=zero)
    steps = T if grid == "table" else max(1 + (grid == "leading"), round(share * T))
    found = levels(schedule, steps, grid)
    assert_sound(found, schedule, steps)
    if grid in (*OF_TABLES, "uniform"):
        assert set(found[:-1].tolist()) <= set(schedule.table.float().tolist())  # levels that it was trained at


def test_uniform_is_even_in_time():
    t = torch.tensor([1.0, 0.75, 0.5, 0.25], dtype=F64)
    assert torch.equal(levels(Cosine(), 4)[:-1], Cosine()(t).float())
    assert torch.equal(levels(Cosine(), 4), levels(Cosine(), 4, "uniform"))


@pytest.mark.parametrize(
    "schedule", [*(LinearBeta(steps=T) for T in (2, 7, 300, 1000)), CosineBeta(steps=300)], ids=str
)
def test_T_steps_are_the_table(schedule):
    """By four names."""
    for grid in ("uniform", "trailing", "leading", "table"):
        found = levels(schedule, schedule.steps, grid)
        assert torch.equal(found[:-1], schedule.table.flip(0).float()) and found[-1] == math.inf


def test_karras_is_equation_5():
    """EDM's own range, sigma from 80 to 0.002 in 18 steps, written as there."""
    ends = [-2 * math.log(80), -2 * math.log(0.002)]
    found = levels(Cosine(), 18, "karras")
    torch.testing.assert_close(found, levels(Cosine(logsnr_min=ends[0], logsnr_max=ends[1]), 18, "karras"))
    i = torch.arange(18, dtype=F64)
    sigma = (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    torch.testing.assert_close((-found[:-1].double() / 2).exp(), sigma, rtol=2e-6, atol=0)
    assert sigma[1].item() == pytest.approx(57.586, abs=0.001)


@pytest.mark.parametrize("rho", [1.0, 3.0, 7.0])
def test_karras_is_even_in_the_root_of_sigma(rho):
    r = (-levels(Flow(), 12, "karras", rho=rho)[:-1].double() / 2).exp()
    even = (r ** (1 / rho)).diff()
    torch.testing.assert_close(even, even.mean().expand(11), rtol=1e-4, atol=1e-5)


def test_a_larger_rho_goes_towards_even_log_snr():
    found = levels(Cosine(), 20, "karras", rho=1e6)
    torch.testing.assert_close(found, levels(Cosine(), 20, "logsnr"), rtol=1e-3, atol=1e-3)


def test_logsnr_is_even_between_the_ends():
    found = levels(Cosine(shift=-1.0), 5, "logsnr", r_max=1e6, r_min=1e-6)
    torch.testing.assert_close(found, torch.tensor([-21.0, -11, -1, 9, 19, math.inf]), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("grid", "expected"),
    [  # Lin et al. 2024, table 2: T = 1000 in 10 steps
        ("trailing", [1000, 900, 800, 700, 600, 500, 400, 300, 200, 100]),
        ("leading", [901, 801, 701, 601, 501, 401, 301, 201, 101, 1]),
    ],
)
def test_trailing_and_leading_as_published(grid, expected):
    assert steps_of(LinearBeta().table, levels(LinearBeta(), 10, grid)) == expected


def test_steps_that_do_not_divide_the_table():
    table = LinearBeta(steps=10)
    assert steps_of(table.table, levels(table, 4, "trailing")) == [10, 8, 5, 2]  # round(2.5) is 2, as numpy rounds
    assert steps_of(table.table, levels(table, 4, "uniform")) == [10, 8, 5, 3]  # ceil
    assert steps_of(table.table, levels(table, 4, "leading")) == [7, 5, 3, 1]  # floor(10 / 4) = 2 apart


@pytest.mark.parametrize(
    ("schedule", "short"),
    [
        (ScaledLinearBeta(), {"trailing": 0.026, "leading": 0.048}),
        (ScaledLinearBeta(zero_terminal_snr=True), {"trailing": 0.0, "leading": 0.021}),
    ],
    ids=["as published", "zero terminal snr"],
)
def test_what_a_grid_costs_that_does_not_begin_at_the_noise(schedule, short):
    """Data N(1, 1/4), 10 steps of DDIM from z = 0, the mean of noise: by how much they end short of the mean of 1."""
    data, z = Gaussian.isotropic(1, mean=1.0, std=0.5), torch.zeros(1, 1, dtype=F64)
    for grid, part in short.items():
        end = last(ddim.sample(data, z, levels(schedule, 10, grid).double(), Cond())).item()
        assert 1 - end == pytest.approx(part, abs=0.0005)


def test_a_list_of_ones_own():
    found = of_list([-10, -2.5, 0, 4, math.inf])
    assert found.dtype == torch.float32 and found.tolist() == [-10, -2.5, 0, 4, math.inf]
    assert of_list((-1, 1)).tolist() == [-1, 1]  # may stop before the data
    assert of_list([0.0, 1.0], "meta").device.type == "meta"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "a list of 0 is no grid"),
        ([1.0], "a list of 1 is no grid"),
        ([1.0, 1.0], "levels 1 and 2 of the list, 1 and 1, do not rise"),
        ([-3.0, 2.0, 1.0, math.inf], "levels 2 and 3 of the list, 2 and 1, do not rise"),
        ([math.inf, math.inf], "inf and inf, do not rise"),
        ([0.0, math.inf, math.inf], "levels 2 and 3"),
        ([-math.inf, 0.0], "-inf and 0"),
        ([0.0, math.nan, 1.0], "0 and nan"),
        ([0.0, math.nan], "0 and nan"),
        ([1.0, 1.0 + 1e-9], "do not rise"),  # in float32, in which samplers divide by the difference
    ],
)
def test_a_list_that_is_no_grid_is_refused(given, words):
    with pytest.raises(ValueError, match=words) as caught:
        of_list(given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: levels(Cosine(), 0), "steps=0 is not a number of sampling steps; use 1 or more"),
        (lambda: levels(LinearBeta(), -5, "trailing"), "steps=-5"),
        (lambda: levels(Cosine(), 10, "karas"), 'grid="karas" is unknown; did you mean "karras"'),
        (lambda: levels(Cosine(), 10, "?"), "known: uniform, karras, logsnr"),
        (lambda: levels(LinearBeta(steps=7), 8), "more than the 7 levels"),
        (lambda: levels(LinearBeta(steps=7), 8, "trailing"), "more than the 7 levels"),
        (lambda: levels(LinearBeta(steps=7), 8, "leading"), "more than the 7 levels"),
        (lambda: levels(LinearBeta(steps=7), 6, "table"), "all 7 levels; use steps=7"),
        (lambda: levels(LinearBeta(), 1, "leading"), "steps=1 of the leading grid"),
        (lambda: levels(Cosine(), 10, "trailing"), "a table of steps, which Cosine has not; use the grid uniform"),
        (lambda: levels(Flow(), 10, "table"), "which Flow has not"),
        (lambda: levels(Cosine(), 10, "karras", rho=0.0), "rho=0.0"),
        (lambda: levels(Cosine(), 10, "karras", rho=math.nan), "rho=nan"),
        (lambda: levels(Cosine(), 10, "uniform", rho=7.0), 'the grid uniform has no option "rho"; it has none'),
        (lambda: levels(Cosine(), 10, "karras", roh=7.0), 'no option "roh"; it has rho'),
        (lambda: levels(Cosine(), 10, "karras", r_max=0.001), "r_max=0.001, r_min=0.002 are no range"),
        (lambda: levels(lambda t: t * 0, 3), "levels 1 and 2 of steps=3 on the uniform grid, 0 and 0, do not rise"),
        (lambda: levels(lambda t: t, 3), "do not rise"),
        (lambda: levels(lambda t: t * math.nan, 3), "nan"),
        (lambda: levels(Flow(), 100_000), "use fewer steps"),  # the last ones are all at its logsnr_max
    ],
)
def test_what_is_wrong_is_said_in_one_line(wrong, words):
    with pytest.raises(ValueError) as caught:
        wrong()
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_grid_for_a_device_without_float64_is_made_on_the_cpu():
    for grid in ("uniform", "karras", "logsnr"):
        asked = []

        def schedule(t, asked=asked):
            asked.append((t.device.type, t.dtype))
            return Cosine()(t)

        found = levels(schedule, 4, grid, "meta")
        assert asked == [("cpu", F64)] and (found.device.type, found.dtype) == ("meta", torch.float32)


def test_a_grid_of_a_schedule_with_weights_carries_no_graph():
    weight = torch.tensor(1.0, dtype=F64, requires_grad=True)
    assert not levels(lambda t: weight * Cosine()(t), 4).requires_grad
