"""The learned schedule: it falls whatever its parameters are, the loss does not know its shape, the shape learns."""

import math

import pytest
import torch

from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.draw import Draw
from filmgrain.diffusion.learned import Learned
from filmgrain.diffusion.objective import SMALL, Objective
from filmgrain.diffusion.prediction import EPS
from filmgrain.diffusion.schedules import Cosine, Flow
from filmgrain.diffusion.times import LowDiscrepancy, Uniform
from filmgrain.diffusion.weighting import ELBO, MinSNR, Sigmoid

F64 = torch.float64


def shaken(seed=0, size=1.0, **options):
    """A schedule of some odd shape."""
    schedule = Learned(**options).build()
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in schedule.parameters():
            parameter += size * torch.randn(parameter.shape, generator=rng)
    return schedule


@pytest.mark.parametrize("seed", range(5))
def test_it_falls_from_end_to_end_whatever_its_parameters(seed):
    schedule = shaken(seed, size=5.0)
    t = torch.linspace(0, 1, 1001, dtype=F64)
    with torch.no_grad():
        logsnr, slope = schedule.with_slope(t)
    assert (logsnr.diff() < 0).all() and (slope < 0).all() and logsnr.dtype == torch.float32
    assert logsnr[0] == pytest.approx(13.3) and logsnr[-1] == pytest.approx(-12.0, abs=1e-5)
    assert slope.min() < -50 and slope.max() > -4  # far from a straight line, whose slope is -25.3


def test_it_starts_near_the_straight_line():
    t = torch.linspace(0, 1, 101, dtype=F64)
    config = Learned()
    torch.testing.assert_close(config.build()(t).double(), config(t), rtol=0, atol=0.3)
    assert config(t)[50] == pytest.approx(0.65)


def test_its_slope_is_that_of_its_values():
    schedule = shaken().double()
    t = torch.linspace(0.01, 0.99, 50, dtype=F64)
    _, slope = schedule.with_slope(t)
    h = 1e-6
    torch.testing.assert_close(slope, (schedule(t + h) - schedule(t - h)) / (2 * h), rtol=1e-6, atol=1e-6)


def test_shapes():
    schedule = Learned().build()
    for t in (torch.tensor(0.5), torch.rand(3), torch.rand(2, 3)):
        logsnr, slope = schedule.with_slope(t)
        assert logsnr.shape == slope.shape == t.shape


def test_autocast_leaves_it_in_float32():
    schedule, t = shaken(), torch.rand(64)
    with torch.autocast("cpu", torch.bfloat16):
        inside = schedule.with_slope(t)
    for ours, theirs in zip(inside, schedule.with_slope(t), strict=True):
        assert ours.dtype == torch.float32 and torch.equal(ours, theirs)


def test_its_parameters_do_not_decay():
    assert all(parameter.ndim < 2 for parameter in Learned().build().parameters())


# The loss. x0 = 0, so that z tells eps, and the error of eps is exactly f(logsnr).


class Midpoints:
    """As many times as draws, evenly: the loss is an integral by the midpoint rule."""

    def __call__(self, draw):
        t = (torch.arange(len(draw.n), dtype=F64) + 0.5) / len(draw.n)
        return t, torch.ones_like(t)


def network_of(f):
    def network(z, logsnr, cond):
        eps = z / torch.sigmoid(-logsnr).sqrt()[:, None]
        return eps + f(logsnr).sqrt()[:, None]

    return network


def mean_loss(weighting, schedule, f):
    x0, draw = torch.zeros(5000, 1, dtype=F64), Draw(0, tuple(range(5000)))
    with torch.no_grad():
        return Objective(weighting=weighting, times=Midpoints())(network_of(f), EPS, schedule, x0, Cond(), draw).mean()


def error(logsnr):
    return torch.sigmoid(logsnr - 1) + 0.1


LOW, HIGH = -12.0, 13.3
GRID = LOW + (HIGH - LOW) * (torch.arange(10**5, dtype=F64) + 0.5) / 10**5
SAME_ENDS = [
    Learned(),
    Learned().build(),
    shaken(1),
    shaken(2, size=2.0),
    Cosine(logsnr_min=LOW, logsnr_max=HIGH),
    Flow(logsnr_min=LOW, logsnr_max=HIGH),
]


@pytest.mark.parametrize("schedule", SAME_ENDS, ids=lambda schedule: type(schedule).__name__)
@pytest.mark.parametrize("weighting", [ELBO(), Sigmoid()], ids=["elbo", "sigmoid"])
def test_the_bound_does_not_know_the_shape_of_the_schedule(schedule, weighting):
    """1/2 int w(l) |eps - eps_hat|^2 dl, the same for all schedules of the same ends (Kingma et al. 2021)."""
    weight = torch.ones_like(GRID) if weighting == ELBO() else torch.sigmoid(2 - GRID)
    expected = (weight * error(GRID)).mean() * (HIGH - LOW) / 2
    rtol = 2e-2 if isinstance(schedule, Flow) else 1e-3  # flow is cut at its ends, where the midpoint rule is coarse
    torch.testing.assert_close(mean_loss(weighting, schedule, error), expected, rtol=rtol, atol=0)


@pytest.mark.parametrize("schedule", [Learned(), Learned().build(), shaken(3)], ids=["line", "start", "odd"])
def test_every_loss_of_a_learned_schedule_is_that_of_the_straight_line(schedule):
    expected = (MinSNR()(GRID, EPS) / EPS.k(GRID) * error(GRID)).mean()
    torch.testing.assert_close(mean_loss(MinSNR(), schedule, error), expected, rtol=1e-3, atol=0)


def test_of_any_other_schedule_a_weighting_per_time_knows_the_shape():
    cosine, flow = (mean_loss(MinSNR(), schedule, error) for schedule in SAME_ENDS[-2:])
    assert abs(cosine - flow) > 0.01


# Learning.


def gaussian(scale=0.1, width=8):
    """Data N(0, scale^2), and the network that knows them: eps_hat = E[eps | z]."""

    def x0_of(draw):
        return scale * draw.normal("data", torch.empty(len(draw.n), width))

    def network(z, logsnr, cond):
        snr = scale**2 * logsnr.exp()[:, None]
        return z / torch.sigmoid(-logsnr).sqrt()[:, None] / (1 + snr)

    return network, x0_of


def test_the_schedule_has_the_gradient_of_the_square_and_all_else_its_own(monkeypatch):
    network, x0_of = gaussian()
    schedule, gain = shaken(), torch.ones((), requires_grad=True)
    draw = Draw(0, tuple(range(64)))

    def losses():
        def scaled(z, logsnr, cond):
            return gain * network(z, logsnr, cond)

        return Objective(weighting=ELBO(), times=LowDiscrepancy())(scaled, EPS, schedule, x0_of(draw), Cond(), draw)

    parameters = [*schedule.parameters(), gain]
    learned = torch.autograd.grad(losses().mean(), parameters)
    monkeypatch.setattr("filmgrain.diffusion.objective.learn_variance", lambda outputs, losses: None)
    squared = torch.autograd.grad(SMALL * losses().square().mean(), parameters)
    plain = torch.autograd.grad(losses().mean(), parameters)
    torch.testing.assert_close(learned[:-1], squared[:-1])
    torch.testing.assert_close(learned[-1], plain[-1])
    assert not torch.allclose(learned[0], plain[0], rtol=0.1)


def test_learning_lowers_the_variance_and_not_the_mean():
    """With densities p(l) of levels the mean square of a draw is int E[f^2 | l] / p, least for p ~ sqrt(E[f^2 | l])."""
    network, x0_of = gaussian()
    schedule = Learned().build()
    loss, estimated = (Objective(weighting=ELBO(), times=times) for times in (LowDiscrepancy(), Uniform()))
    optimizer = torch.optim.Adam(schedule.parameters(), lr=0.05)

    def estimate(schedule):
        draw = Draw(1, tuple(range(4000)))
        with torch.no_grad():
            values = estimated(network, EPS, schedule, x0_of(draw), Cond(), draw)
        return values.mean(), values.var()

    mean, variance = estimate(schedule)
    for step in range(100):
        draw = Draw(0, tuple(range(32 * step, 32 * step + 32)))
        optimizer.zero_grad()
        loss(network, EPS, schedule, x0_of(draw), Cond(), draw).mean().backward()
        optimizer.step()
    trained_mean, trained_variance = estimate(schedule)
    snr = 0.1**2 * GRID.exp()
    error = snr / (1 + snr)  # of eps, the variance of each of 8 elements; its mean square varies by 2 / 8 of the square
    expected = (HIGH - LOW) * error.mean() / 2
    least = ((HIGH - LOW) * (error * math.sqrt(1 + 2 / 8)).mean() / 2) ** 2 - expected**2
    for found, spread in ((mean, variance), (trained_mean, trained_variance)):
        assert abs(found - expected) < 5 * math.sqrt(spread / 4000)
    assert variance == pytest.approx(42, rel=0.1) and least == pytest.approx(4.7, rel=0.01)
    assert least < trained_variance < variance / 3
    assert estimate(Cosine(logsnr_min=LOW, logsnr_max=HIGH))[1] > 1000
    assert (schedule(torch.linspace(0, 1, 1001, dtype=F64)).diff() < 0).all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [(lambda: Learned(logsnr_min=3, logsnr_max=-3), "logsnr_min=3"), (lambda: Learned(units=0), "units=0")],
)
def test_what_is_wrong_is_said_in_one_line(wrong, words):
    with pytest.raises(ValueError, match=words) as caught:
        wrong()
    assert "\n" not in str(caught.value)
