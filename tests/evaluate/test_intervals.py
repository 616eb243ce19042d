"""Intervals from random halves: they hold what they should as often as they should, and are functions of the seed."""

import numpy as np
import pytest
import torch

from filmgrain.evaluate.distances import frechet, kid
from filmgrain.evaluate.intervals import Number, measured
from filmgrain.evaluate.manifold import manifold


def cloud(seed, n=120, d=3, *, mean=0.0):
    return mean + torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def everything(samples, reference):
    return {"fd": frechet(samples, reference), "kid": kid(samples, reference), **manifold(samples, reference)}


def test_halves_of_a_mean_spread_as_the_mean_does():
    """Delete-half jackknife of a mean: the variance is that of the mean itself, s^2 / n."""
    x = cloud(0, 200, 1)
    found = measured(lambda a, b: {"mean": float(a.mean())}, x, x, halves=2000, seed=0)["mean"]
    assert found.value == float(x.mean())
    assert found.error == pytest.approx(float(x.std()) / 200**0.5, rel=0.05)


def test_intervals_hold_the_expected_value_as_often_as_they_say():
    """That of equally many samples, over 80 worlds: 95 %, or a little more. With replacement it is 0 to 90 %."""
    expected = [everything(cloud(10_000 + i, mean=0.5), cloud(20_000 + i)) for i in range(400)]
    held = {name: 0 for name in expected[0]}
    for i in range(80):
        found = measured(everything, cloud(2 * i, mean=0.5), cloud(2 * i + 1), halves=30, seed=i)
        for name, number in found.items():
            low, high = number.interval
            held[name] += low <= np.mean([one[name] for one in expected]) <= high
    assert all(count >= 0.88 * 80 for count in held.values()), held
    assert np.mean(list(held.values())) < 0.995 * 80  # not for being as wide as can be


def test_drawing_with_replacement_is_wrong_for_every_one():
    """Why there are halves: the mean over such draws, which should be near the value, lies far off it."""
    x, y = cloud(0, 200, 8), cloud(1, 200, 8)
    rng, whole = np.random.default_rng(0), everything(x, y)
    again = [everything(x[rng.integers(200, size=200)], y[rng.integers(200, size=200)]) for _ in range(30)]
    for name in ("fd", "kid", "precision", "recall", "coverage"):
        drawn = np.array([one[name] for one in again])
        assert abs(drawn.mean() - whole[name]) > 1.5 * drawn.std(), name


def test_what_is_too_large_for_want_of_samples_is_seen_in_the_halves():
    """FD of 120 from one distribution: its mean is bias, which the extrapolation takes off."""
    found = [measured(everything, cloud(2 * i), cloud(2 * i + 1), halves=20, seed=0)["fd"] for i in range(30)]
    plain, corrected = np.mean([n.value for n in found]), np.mean([n.unbiased for n in found])
    assert plain > 0.05 and abs(corrected) < plain / 5


def test_the_same_seed_gives_the_same_halves_whatever_the_features():
    def first(a, b):
        return {"x": float(a[0, 0]), "y": float(b[0, 0])}

    ids = torch.arange(10.0)[:, None]
    one, two = (measured(first, features, ids, halves=5, seed=3) for features in (ids, ids * 2))
    assert [2 * value for value in one["x"].halves] == list(two["x"].halves)
    assert one["x"].halves != one["y"].halves  # the two sides are drawn apart
    assert measured(first, ids, ids, halves=5, seed=4)["x"].halves != one["x"].halves


def test_a_difference_is_surer_than_its_parts():
    """What the common reference does to both cancels."""
    reference, worse, better = cloud(0, 60), cloud(1, 600, mean=0.6), cloud(2, 600, mean=0.5)
    one, other = (measured(everything, x, reference, halves=40, seed=0)["fd"] for x in (worse, better))
    assert (one - other).value == pytest.approx(one.value - other.value)
    assert (one - other).error < 0.6 * np.hypot(one.error, other.error)


def test_without_halves_there_is_no_interval():
    number = measured(everything, cloud(0), cloud(1), halves=0, seed=0)["kid"]
    assert number.halves == () and np.isnan(number.error) and np.isnan(number.unbiased)
    assert all(np.isnan(number.interval))


def test_numbers_with_other_halves_are_not_subtracted():
    with pytest.raises(ValueError):
        Number(1.0, (1.0, 2.0)) - Number(1.0, (1.0,))
