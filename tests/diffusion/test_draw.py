"""Random numbers are functions of (seed, purpose, draw number), whatever else is drawn."""

import math

import torch

from filmgrain.diffusion.draw import GOLDEN, Draw

LIKE = torch.empty(6, 3, 4, 5)


PINNED_NORMAL = [[-1.0295062, -0.1467818], [0.2542499, -0.1700636]]
PINNED_TIMES = [0.6232084222544295, 0.24124241100432453]


def test_a_draw_is_the_same_alone_in_a_batch_and_on_another_day():
    batch = Draw(7, (3, 9, 4, 0, 12, 5))
    together = batch.normal("noise", LIKE)
    for i, n in enumerate(batch.n):
        assert torch.equal(Draw(7, (n,)).normal("noise", LIKE[:1])[0], together[i])
        assert torch.equal(Draw(7, (n,)).uniform("keep")[0], batch.uniform("keep")[i])
        assert torch.equal(Draw(7, (n,)).times()[0], batch.times()[i])
    batch.normal("something else", LIKE)
    torch.randn(100)
    assert torch.equal(batch.normal("noise", LIKE), together)


def test_the_numbers_are_pinned():
    """They must never change: a resumed run and a published seed depend on them."""
    values = Draw(0, (0, 1)).normal("start", torch.empty(2, 2))
    torch.testing.assert_close(values, torch.tensor(PINNED_NORMAL), rtol=0, atol=1e-6)
    times = torch.tensor(PINNED_TIMES, dtype=torch.float64)
    torch.testing.assert_close(Draw(0, (0, 1)).times(), times, rtol=0, atol=1e-12)


def test_seeds_purposes_steps_and_draws_are_independent():
    like = torch.empty(1, 20_000)
    streams = [
        Draw(0, (0,)).normal("a", like),
        Draw(1, (0,)).normal("a", like),
        Draw(0, (1,)).normal("a", like),
        Draw(0, (0,)).normal("b", like),
        Draw(0, (0,)).noise(0, like),
        Draw(0, (0,)).noise(1, like),
    ]
    correlation = torch.corrcoef(torch.cat(streams)).fill_diagonal_(0)
    assert correlation.abs().max() < 5 / 20_000**0.5


def test_moments_of_the_normal_and_the_uniform():
    noise = Draw(3, tuple(range(64))).normal("noise", torch.empty(64, 2000)).double()
    count = noise.numel()
    assert abs(noise.mean()) < 5 / count**0.5
    assert abs(noise.var() - 1) < 5 * (2 / count) ** 0.5
    assert abs((noise**4).mean() - 3) < 5 * (96 / count) ** 0.5
    uniform = Draw(3, tuple(range(4000))).uniform("keep")
    assert uniform.min() >= 0 and uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 5 * (1 / 12 / 4000) ** 0.5


def test_noise_follows_the_dtype_of_its_model():
    like = torch.empty(2, 3, dtype=torch.float64)
    noise = Draw(0, (0, 1)).normal("noise", like)
    assert noise.dtype == torch.float64 and noise.shape == like.shape
    assert torch.equal(noise, Draw(0, (0, 1)).normal("noise", like.float()).double())


def discrepancy(points):
    """The star discrepancy of points in [0, 1): how far any [0, a) is from holding its share."""
    points, rank = points.sort().values, torch.arange(1, len(points) + 1, dtype=torch.float64)
    return torch.maximum((rank / len(points) - points).max(), (points - (rank - 1) / len(points)).max()).item()


def test_times_are_spread_evenly_over_any_run_of_draws():
    """The discrepancy of the golden ratio is of order log N / N; that of independent times is near 0.6 / sqrt(N)."""
    for count in (16, 256, 4096):
        bound = (1 + math.log(count) / 2) / count
        for first in (0, 1_000, 10**9):
            times = Draw(5, tuple(range(first, first + count))).times()
            assert times.min() >= 0 and times.max() < 1
            assert discrepancy(times) < bound
    independent = torch.rand(4096, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert discrepancy(independent) > 5 * bound


def test_times_step_by_the_golden_ratio():
    times = Draw(5, (10, 11)).times()
    torch.testing.assert_close((times[1] - times[0]) % 1, torch.tensor(GOLDEN, dtype=torch.float64), rtol=0, atol=1e-12)
