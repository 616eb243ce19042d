"""The distance to the truth: the measure itself, and what every sampler owes it."""

import math
from functools import cache

import pytest
import torch

from filmgrain.oracle import distance
from filmgrain.rooms import find, names


@cache
def rows():
    return distance.run(seeds=4, count=512, nfes=(4, 16, 64))


def floor():
    return rows()[0].distance.mean


def at(study, name, grid, nfe):
    found = [row for row in rows() if (row.study, row.name, row.grid) == (study, name, grid) and row.nfe <= nfe]
    return max(found, key=lambda row: row.nfe).distance.mean


def test_a_shift_is_measured_as_itself():
    """Along a direction at angle a, what is moved by d to the right is moved by d cos a: 2 d / pi in the mean."""
    x = distance.drawn(3, 0, 64)
    apart = distance.distance(distance.sliced(x), distance.sliced(x + torch.tensor([0.5, 0.0])))
    assert apart.tolist() == pytest.approx([0.5 * 2 / math.pi] * 3, rel=0.01)


def test_the_floor_falls_with_samples():
    few, many = (
        distance.distance(
            distance.sliced(distance.drawn(8, 1, count)), distance.quantiles(distance.drawn(8, 0, 16 * count))
        ).mean()
        for count in (256, 4096)
    )
    assert many < 0.4 * few


def test_every_sampler_is_measured_on_both_grids():
    for grid in ("uniform", "karras"):
        walked = {row.sampler for row in rows() if row.study == "samplers" and row.grid == grid}
        adaptive = {name for name in names("samplers") if find("samplers", name).nfe(2) is None}
        assert walked == set(names("samplers")) - (adaptive if grid == "uniform" else set())


@pytest.mark.parametrize("name", [name for name in names("samplers") if find("samplers", name).nfe(2) is not None])
def test_every_sampler_comes_to_the_truth(name):
    """On the grid of its liking, from many evaluations, as near as true samples are, or nearly."""
    ends = [at("samplers", name, grid, 64) for grid in ("uniform", "karras")]
    assert min(ends) < 2 * floor()
    assert min(ends) < at("samplers", name, "uniform", 4)


def test_an_adaptive_sampler_comes_to_the_truth():
    found = [row for row in rows() if row.study == "samplers" and row.sampler == "rk45"]
    assert found[-1].distance.mean < 1.5 * floor() and found[-1].nfe > found[0].nfe


def test_second_order_is_better_than_first_with_few_evaluations():
    assert at("samplers", "dpmpp_2m", "uniform", 4) < 0.9 * at("samplers", "ddim", "uniform", 4)
    assert at("samplers", "unipc", "uniform", 4) < 0.9 * at("samplers", "ddim", "uniform", 4)


def test_a_grid_that_spends_its_steps_where_nothing_happens_is_worse():
    for name in ("ddim", "dpmpp_2m", "ancestral"):
        assert at("grids", name, "karras", 16) < 0.7 * at("grids", name, "karras, -20 to 20", 16)


def test_steps_keep_to_the_budget():
    assert distance.steps_for("ddim", {}, 16) == 16
    assert distance.steps_for("heun", {}, 16) == 8
    assert distance.steps_for("heun", {}, 2) == 0
    assert all(row.nfe <= 64 for row in rows() if "rtol" not in row.options)
