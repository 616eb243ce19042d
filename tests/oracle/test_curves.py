"""Every registered schedule and weighting has its curve, and the curves are what they say."""

from functools import cache

import pytest
import torch

from filmgrain.diffusion.prediction import PREDICTIONS
from filmgrain.diffusion.schedules import SCHEDULES
from filmgrain.diffusion.weighting import WEIGHTINGS
from filmgrain.oracle import curves


@cache
def rows():
    return curves.run()


def test_all_are_there():
    for kind in ("schedule", "density"):
        assert [row.name for row in rows() if row.kind == kind] == list(SCHEDULES)
    found = {(row.name, row.prediction) for row in rows() if row.kind == "weighting"}
    assert found == {(name, prediction) for name in WEIGHTINGS for prediction in PREDICTIONS}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_density_has_a_mass_of_one_but_for_what_is_cut(name):
    (row,) = [row for row in rows() if (row.kind, row.name) == ("density", name)]
    x, y = torch.tensor(row.x), torch.tensor(row.y)
    assert (y > 0).all()
    assert -torch.trapezoid(y, x).item() == pytest.approx(1, abs=0.02)


def test_simple_is_flat_and_snr_is_flat_on_eps():
    for row in rows():
        if (row.kind, row.name) == ("weighting", "simple") or (row.name, row.prediction) == ("snr", "eps"):
            assert row.y == pytest.approx([1.0] * len(row.y))
