"""Memorisation: nearest neighbours are exact, copies are found, and what is no copy is not called one."""

import numpy as np
import pytest
import torch

from filmgrain.evaluate import neighbours
from filmgrain.evaluate.neighbours import CLOSE, copying, nearest


def cloud(seed, n, d=6):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_neighbours_are_exact_however_the_search_is_cut(size):
    items, searched = cloud(0, 20), cloud(1, 100)
    found = nearest(items, searched.split(size), k=4)
    away = (items[:, None] - searched[None]).square().mean(-1).sqrt()
    expected = away.sort(dim=1)
    assert torch.allclose(found.distance, expected.values[:, :4])
    assert torch.equal(found.index, expected.indices[:, :4])


def distances(seed, n, training, copied=0.0):
    """To the nearest of the training items; a share of the items are those themselves, a little changed."""
    items = cloud(seed, n)
    count = int(copied * n)
    items[:count] = training[:count] + 0.01 * cloud(seed + 1, count)
    return nearest(items, [training]).distance[:, 0]


def test_new_samples_are_no_copies(monkeypatch):
    """Over 60 worlds, copies are seen in few of them: 2.5 % are expected."""
    monkeypatch.setattr(neighbours, "AGAIN", 200)
    said = 0
    for seed in range(0, 600, 10):
        training = cloud(seed, 400)
        found = copying(distances(seed + 1, 300, training), distances(seed + 2, 300, training), seed)
        assert found.ratio == pytest.approx(1, abs=0.2)
        said += found.copies
    assert said <= 4


def test_copies_are_found():
    training = cloud(0, 400)
    unseen = distances(5, 300, training)
    few = copying(distances(1, 300, training, copied=0.15), unseen, 0)
    assert few.copies and few.close == pytest.approx(0.15 + 0.85 * CLOSE, abs=0.05)
    assert "look at the sheet" in str(few)
    most = copying(distances(1, 300, training, copied=0.9), unseen, 0)
    assert most.copies and most.ratio < 0.05 and most.ratio_interval[1] < 0.1
    assert most.row()["copies"] is True


def test_samples_far_from_the_data_are_no_copies():
    training = cloud(0, 400)
    found = copying(distances(1, 200, training) + 5, distances(2, 200, training), 0)
    assert not found.copies and found.ratio > 2 and found.close == 0
    assert "no copies are shown" in str(found)


def test_intervals_are_a_function_of_the_seed():
    training = cloud(0, 100)
    a, b = distances(1, 50, training), distances(2, 50, training)
    assert copying(a, b, 1) == copying(a, b, 1) != copying(a, b, 2)
    assert copying(a, b, 1).ratio_interval[0] <= copying(a, b, 1).ratio <= copying(a, b, 1).ratio_interval[1]


def test_where_unseen_data_are_in_the_training_data_themselves():
    zero = torch.zeros(20)
    assert copying(zero, zero, 0).ratio == 1 and not copying(zero, zero, 0).copies
    assert copying(torch.ones(20), zero, 0).ratio_interval == (np.inf, np.inf)
