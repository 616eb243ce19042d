"""Times: the moments of each density, the strata, and importance sampling that leaves the mean where it was."""

import math

import pytest
import torch

from filmgrain.diffusion.draw import Draw
from filmgrain.diffusion.importance import Importance
from filmgrain.diffusion.schedules import Flow
from filmgrain.diffusion.times import TIMES, LogitNormal, Stratified

every = pytest.mark.parametrize("name", TIMES)


def draws(count, first=0, seed=5):
    return Draw(seed, tuple(range(first, first + count)))


@every
def test_times_are_a_function_of_seed_and_draw_alone(name):
    times = TIMES[name]()
    numbers = (3, 99, 4, 0, 12, 5)
    together, weights = times(Draw(7, numbers))
    for i, n in enumerate(numbers):
        assert torch.equal(times(Draw(7, (n,)))[0][0], together[i])
    assert together.dtype == weights.dtype == torch.float64 and together.device.type == "cpu"
    assert not torch.equal(times(Draw(8, numbers))[0], together)
    assert ((together >= 0) & (together <= 1)).all() and torch.equal(weights, torch.ones(6, dtype=torch.float64))


@pytest.mark.parametrize("name", ["uniform", "stratified", "low_discrepancy", "importance"])
def test_uniform_moments(name):
    t, _ = TIMES[name]()(draws(4000))
    bound = 5 / 4000**0.5
    assert abs(t.mean() - 1 / 2) < bound * (1 / 12) ** 0.5
    assert abs(t.square().mean() - 1 / 3) < bound * (4 / 45) ** 0.5


def test_independent_times_are_independent():
    """Unlike the others: neighbours do not avoid each other."""
    t, _ = TIMES["uniform"]()(draws(4000))
    u = t - t.mean()
    assert abs((u[1:] * u[:-1]).mean() / u.square().mean()) < 5 / 4000**0.5
    low, _ = TIMES["low_discrepancy"]()(draws(4000))
    v = low - low.mean()
    assert abs((v[1:] * v[:-1]).mean() / v.square().mean()) > 0.3


@pytest.mark.parametrize("strata", [1, 5, 16])
def test_each_round_meets_each_stratum_once(strata):
    times = Stratified(strata=strata)
    t = torch.cat(
        [times(draws(7, first))[0] for first in range(0, 70 * strata, 7)]
    )  # in batches of 7, whatever the round
    rounds = (t * strata).long().reshape(-1, strata)
    assert torch.equal(rounds.sort(1).values, torch.arange(strata).expand_as(rounds))
    if strata > 1:
        assert len({tuple(row) for row in rounds.tolist()}) > 3  # in orders that differ
    inside = t * strata % 1
    assert abs(inside.mean() - 1 / 2) < 5 * (1 / 12 / len(t)) ** 0.5


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-1.2, 1.2), (0.5, 0.3)])
def test_logit_normal_moments(mean, std):
    t, weight = LogitNormal(mean=mean, std=std)(draws(4096))
    logit = torch.logit(t)
    assert abs(logit.mean() - mean) < 0.01 * std and abs(logit.std() - std) < 0.01 * std
    assert abs(((logit - mean) / std).pow(4).mean() - 3) < 0.1
    assert (weight == 1).all()


def test_logit_normal_on_flow_is_the_density_of_edm():
    """Karras et al. 2022: log r ~ N(-1.2, 1.2^2), where r = sigma / alpha = e^(-logsnr / 2)."""
    t, _ = LogitNormal(mean=-1.2, std=1.2)(draws(4096))
    log_r = -Flow()(t) / 2
    assert abs(log_r.mean() + 1.2) < 0.01 and abs(log_r.std() - 1.2) < 0.01


# Importance.


def loss_at(t):
    """A loss whose size differs by orders over time, and never vanishes."""
    return 0.01 + torch.exp(-(((t - 0.8) / 0.05) ** 2)) + 0.1 * t


def seasoned(config=None, rounds=40):
    times = (config or Importance()).build()
    for k in range(rounds):
        t, _ = times(draws(64, 64 * k))
        times.observe(t, loss_at(t).float())
    return times


def test_importance_is_uniform_until_every_bin_was_seen():
    times = Importance(bins=8, warmup=3).build()
    for k in range(2):  # two draws a bin: the sequence is even
        draw = draws(8, 8 * k)
        t, weight = times(draw)
        assert torch.equal(t, draw.times()) and (weight == 1).all()
        times.observe(torch.arange(8) / 8 + 0.01, torch.arange(8.0))
    times.observe(torch.arange(8) / 8 + 0.01, torch.arange(8.0))
    assert not torch.equal(times(draw)[0], draw.times())


@pytest.mark.parametrize("floor", [0.1, 0.5])
def test_importance_is_unbiased(floor):
    """E[weight f(t)] is the mean of f over time, for f that follow the loss and f that do not."""
    times = seasoned(Importance(floor=floor))
    t, weight = times(draws(20_000, 10**6))
    even = (torch.arange(10**5, dtype=torch.float64) + 0.5) / 10**5
    for f in (loss_at, torch.ones_like, torch.square, lambda t: torch.cos(9 * t)):
        values = weight * f(t)
        assert abs(values.mean() - f(even).mean()) < 5 * values.std() / len(t) ** 0.5
        assert abs(values.mean() - f(even).mean()) < 2e-3  # an even sequence does far better than independent draws
    assert weight.max() <= 1 / floor + 1e-9


def test_importance_makes_the_variance_small():
    """Of the losses of a batch: near the least that bins of this width allow, (E f)^2 instead of E f^2."""
    times = seasoned()
    t, weight = times(draws(20_000, 10**6))
    even = draws(20_000, 10**6).times()
    variance, before = (weight * loss_at(t)).var(), loss_at(even).var()
    assert variance < before / 8


def test_importance_draws_each_bin_as_often_as_it_says():
    times = seasoned(Importance(bins=8))
    t, weight = times(draws(20_000))
    found = torch.bincount((t * 8).long().clamp(max=7), minlength=8) / 20_000
    torch.testing.assert_close(found.double(), times.probabilities(), rtol=0, atol=1e-3)
    torch.testing.assert_close(weight, 1 / (8 * times.probabilities()[(t * 8).long().clamp(max=7)]))
    expected = torch.stack(
        [loss_at((i + (torch.arange(100) + 0.5) / 100) / 8).square().mean().sqrt() for i in range(8)]
    )
    expected = 0.9 * expected / expected.sum() + 0.1 / 8
    torch.testing.assert_close(times.probabilities(), expected.double(), rtol=0.1, atol=0)


def test_importance_forgets():
    times = seasoned()
    for k in range(200):
        t = draws(64, 64 * k).times()
        times.observe(t, torch.ones(64))
    torch.testing.assert_close(times.probabilities(), torch.full((32,), 1 / 32, dtype=torch.float64), rtol=0.05, atol=0)


def test_the_mean_in_a_bin_is_a_plain_mean_at_first_and_a_fading_one_later():
    times = Importance(bins=2, warmup=1, memory=4).build()
    t = torch.tensor([0.1, 0.2, 0.7])
    times.observe(t, torch.tensor([1.0, 3.0, 2.0]))
    assert times.square.tolist() == [5.0, 4.0] and times.seen.tolist() == [2, 1]
    times.observe(torch.tensor([0.3]), torch.tensor([2.0]))
    assert times.square.tolist() == pytest.approx([14 / 3, 4.0]) and times.seen.tolist() == [3, 1]
    times.observe(torch.full((8,), 0.3), torch.full((8,), 10.0))  # more than it remembers
    assert times.square.tolist() == pytest.approx([100.0, 4.0]) and times.seen.tolist() == [4, 1]


def test_what_importance_knows_is_in_its_state():
    times, again = seasoned(), Importance().build()
    assert set(times.state_dict()) == {"square", "seen"} and not list(times.parameters())
    again.load_state_dict(times.state_dict())
    for ours, theirs in zip(times(draws(50)), again(draws(50)), strict=True):
        assert torch.equal(ours, theirs)


def test_losses_of_nothing_leave_it_uniform():
    times = Importance(bins=2, warmup=1).build()
    times.observe(torch.tensor([0.2, 0.7]), torch.zeros(2))
    assert (times(draws(4))[1] == 1).all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Stratified(strata=0), "strata=0"),
        (lambda: LogitNormal(std=0.0), "std=0.0"),
        (lambda: Importance(bins=1), "bins=1"),
        (lambda: Importance(warmup=0), "warmup=0"),
        (lambda: Importance(warmup=200), "warmup=200"),
        (lambda: Importance(floor=0.0), "floor=0.0"),
        (lambda: Importance(floor=math.nan), "floor=nan"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(wrong, words):
    with pytest.raises(ValueError, match=words) as caught:
        wrong()
    assert "\n" not in str(caught.value)
