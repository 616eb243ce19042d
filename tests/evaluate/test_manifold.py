"""Precision, recall, density and coverage on clouds where the answer is known or shown in their papers."""

import numpy as np
import pytest
import torch

from filmgrain.evaluate.distances import TooFew
from filmgrain.evaluate.manifold import manifold, radii


def cloud(seed, n=600, d=8, *, mean=0.0, scale=1.0):
    return mean + scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_definition(samples, reference):
    """The papers' sums, pair by pair."""
    x, y = samples.numpy(), reference.numpy()
    between = np.linalg.norm(x[:, None] - y[None], axis=-1)
    own, theirs = (np.sort(np.linalg.norm(a[:, None] - a[None], axis=-1), axis=1) for a in (x, y))
    return {
        "precision": np.mean([(row <= theirs[:, 3]).any() for row in between]),
        "recall": np.mean([(row <= own[:, 3]).any() for row in between.T]),
        "density": np.mean([(row <= theirs[:, 5]).sum() for row in between]) / 5,
        "coverage": np.mean([row.min() <= radius for row, radius in zip(between.T, theirs[:, 5], strict=True)]),
    }


@pytest.mark.parametrize("rows", [2048, 17])
def test_as_defined(monkeypatch, rows):
    monkeypatch.setattr("filmgrain.evaluate.manifold.ROWS", rows)
    samples, reference = cloud(0, 90, 3, mean=0.7, scale=0.8), cloud(1, 120, 3)
    assert manifold(samples, reference) == pytest.approx(by_definition(samples, reference))


def test_of_one_distribution():
    """Density is 1 in expectation, and coverage 1 - (n - 1) ... (n - k) / ((2n - 1) ... (2n - k))."""
    n, d = 400, 8
    found = [manifold(cloud(2 * i, n, d), cloud(2 * i + 1, n, d)) for i in range(12)]
    density, coverage = (np.mean([one[name] for one in found]) for name in ("density", "coverage"))
    expected = 1 - np.prod([(n - j) / (2 * n - j) for j in range(1, 6)])
    assert density == pytest.approx(1, abs=0.04)
    assert coverage == pytest.approx(expected, abs=0.01)  # 0.969


def test_of_itself():
    x = cloud(0)
    found = manifold(x, x)
    assert found["precision"] == found["recall"] == found["coverage"] == 1


def test_a_shift_lowers_all_four_and_swapping_sides_swaps_precision_and_recall():
    found = [manifold(cloud(0, mean=shift), cloud(1)) for shift in (0.0, 0.5, 1.0, 2.0)]
    for name in ("precision", "recall", "density", "coverage"):
        values = [one[name] for one in found]
        assert values == sorted(values, reverse=True) and values[-1] < 0.1, name
    one, other = cloud(0, mean=0.5), cloud(1)
    assert manifold(one, other)["precision"] == manifold(other, one)["recall"]


def test_quality_and_variety_are_told_apart():
    """Samples of one of two modes are good and miss half of the data; far too wide ones cover them and are bad."""
    modes = torch.cat([cloud(1, 300, mean=-5.0), cloud(2, 300, mean=5.0)])
    dropped = manifold(cloud(0, mean=5.0), modes)
    assert dropped["precision"] > 0.8 and dropped["density"] > 0.9
    assert dropped["recall"] < 0.55 and dropped["coverage"] < 0.55
    wide = manifold(cloud(0, 2000, d=2, scale=5.0), cloud(1, d=2))
    assert wide["precision"] < 0.4 and wide["recall"] > 0.9


def test_an_outlier_of_the_reference_fools_precision_and_not_density():
    """What density is for (Naeem et al. 2020): bad samples around an outlier lie in its large ball."""
    reference, bad = cloud(1, 300, 4), cloud(0, 300, 4, mean=6.0)
    with_outlier = torch.cat([reference, torch.full((1, 4), 6.0)])
    without, found = manifold(bad, reference), manifold(bad, with_outlier)
    assert without["precision"] < 0.05
    assert found["precision"] > 0.95
    assert found["density"] < 0.25


def test_no_rotation_shift_or_scale_changes_them():
    samples, reference = cloud(0, 100, mean=0.5), cloud(1, 100)
    q = torch.linalg.qr(cloud(2, 8, 8)).Q
    moved = manifold(3 * samples @ q + 1000, 3 * reference @ q + 1000)
    assert moved == pytest.approx(manifold(samples, reference))


def test_copies_in_the_data_are_in_their_own_manifold():
    """Four of a kind have a ball of radius 0, which holds a fifth."""
    reference = torch.cat([cloud(0, 50), cloud(1, 1).expand(4, -1)])
    assert radii(reference - reference.mean(0), 3)[0][-1] == 0
    assert manifold(reference[-1:].expand(6, -1), reference)["precision"] == 1


def test_too_few_have_no_neighbours():
    with pytest.raises(TooFew, match="5 samples and 100"):
        manifold(cloud(0, 5), cloud(1, 100))
