"""The order of every deterministic sampler, against the exact flow of Gaussian data and on a mixture."""

from functools import cache

import pytest
import torch

from filmgrain.analytic.gaussian import Gaussian
from filmgrain.oracle import orders
from filmgrain.rooms import find, names

AT_LEAST = {1: 0.9, 2: 1.8, 3: 2.6, 4: 3.5, 5: 4.4}  # for each order; slopes are measured over few steps
VARIANTS = [orders.label(sampler, options) for sampler, options, _ in orders.deterministic()]


@cache
def rows():
    return {(row.name, row.data): row for row in orders.run(seeds=4, steps=(32, 64, 128))}


def test_every_deterministic_sampler_is_measured():
    assert {row.sampler for row in rows().values()} == {
        name for name in names("samplers") if find("samplers", name).ORDER is not None
    }
    assert set(rows()) == {(name, data) for name in VARIANTS for data in ("Gaussian", "mixture")}


@pytest.mark.parametrize("data", ["Gaussian", "mixture"])
@pytest.mark.parametrize("name", VARIANTS)
def test_each_has_its_order(name, data):
    row = rows()[name, data]
    slack = 0.1 if data == "mixture" else 0.0  # further from where steps are small enough
    assert row.order.mean >= AT_LEAST[row.expected] - slack
    assert row.errors[-1].mean < row.errors[0].mean / 3


def test_the_published_third_order_update_is_of_order_two():
    for data in ("Gaussian", "mixture"):
        published, ours = rows()["dpmpp_3m, published=True", data], rows()["dpmpp_3m", data]
        assert published.order.mean < 2.5 < 2.9 < ours.order.mean
        assert ours.errors[-1].mean < published.errors[-1].mean / 3


def test_calls_are_counted():
    assert rows()["ddim", "Gaussian"].calls == (32, 64, 128)
    assert rows()["heun", "Gaussian"].calls == (64, 128, 256)


def test_the_reference_is_the_exact_flow():
    data = Gaussian(torch.tensor([0.3, -0.2], dtype=torch.float64), torch.tensor([[1.0, 0.6], [0.6, 0.5]]).double())
    z = torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    exact = data.flow(z, orders.FIRST, orders.FINAL)
    torch.testing.assert_close(orders.reference(data, z, steps=512), exact, rtol=0, atol=1e-6)
    coarse, fine = ((orders.reference(data, z, steps=steps) - exact).abs().max() for steps in (64, 128))
    assert coarse / fine > 2**3.7  # it is of order 4


def test_a_slope_is_the_power():
    steps = (10, 20, 40)
    errors = 7 * torch.tensor(steps, dtype=torch.float64) ** -2.5
    assert orders.slope(steps, errors).item() == pytest.approx(2.5)
    errors[-1] = 1e-12  # below the floor: left out
    assert orders.slope(steps, errors, floor=1e-10).item() == pytest.approx(2.5)
