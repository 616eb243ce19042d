"""The adapter for networks that take the integer steps of a table."""

import pytest
import torch

from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.steps import OnSteps, step_of
from filmgrain.diffusion.tables import CosineBeta, LinearBeta

tables = pytest.mark.parametrize(
    "table",
    [LinearBeta().table, LinearBeta(steps=300, scale=False).table, CosineBeta().table, LinearBeta(steps=2).table],
    ids=len,
)


@tables
def test_every_level_is_its_own_step(table):
    for levels in (table, table.float()):
        assert torch.equal(step_of(table, levels), torch.arange(len(table)).to(levels))


@tables
def test_steps_rise_as_logsnr_falls_and_are_clamped(table):
    logsnr = torch.linspace(float(table[0]) + 5, float(table[-1]) - 5, 5000, dtype=torch.float64)
    steps = step_of(table, logsnr)
    assert (steps.diff() >= 0).all() and steps[0] == 0 and steps[-1] == len(table) - 1


def test_linear_between_levels():
    table = torch.tensor([4.0, 2.0, -6.0])
    torch.testing.assert_close(step_of(table, torch.tensor([3.0, 2.0, 0.0, -6.0])), torch.tensor([0.5, 1.0, 1.25, 2.0]))


def test_the_network_is_given_steps():
    given = []

    def network(z, step, cond):
        given.append(step)
        return z

    table = torch.tensor([4.0, 2.0, -6.0])
    logsnr, z = torch.tensor([3.5, 0.0]), torch.zeros(2, 1)
    OnSteps(network, table)(z, logsnr, Cond())
    OnSteps(network, table, nearest=True)(z, logsnr, Cond())
    assert given[0].tolist() == [0.25, 1.25]
    assert given[1].tolist() == [0, 1] and given[1].dtype == torch.int64
