"""The objective as a whole: what it was before, learned uncertainty, importance at work, and autocast."""

import math

import pytest
import torch

from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.draw import Draw
from filmgrain.diffusion.importance import Importance
from filmgrain.diffusion.learned import Learned
from filmgrain.diffusion.loss import diffusion_loss
from filmgrain.diffusion.objective import Objective, measured
from filmgrain.diffusion.prediction import EPS, PREDICTIONS, V
from filmgrain.diffusion.schedules import SCHEDULES, Cosine
from filmgrain.diffusion.times import TIMES, LowDiscrepancy, Uniform
from filmgrain.diffusion.uncertainty import LearnedUncertainty, Uncertainty
from filmgrain.diffusion.weighting import ELBO, WEIGHTINGS, MinSNR, Simple

COND = Cond()


def draws(count, first=0):
    return Draw(0, tuple(range(first, first + count)))


def halved(z, logsnr, cond):
    return z / 2


def x0_of(count):
    return torch.linspace(-1, 1, count)[:, None].expand(count, 3)


@pytest.mark.parametrize("prediction", PREDICTIONS.values(), ids=PREDICTIONS)
def test_without_more_it_is_the_plain_loss_bit_for_bit(prediction):
    """Weights of one change nothing, so that runs of before go on as they were."""
    x0, draw = x0_of(16), draws(16)
    found = Objective(weighting=MinSNR(), times=LowDiscrepancy())(halved, prediction, Cosine(), x0, COND, draw)
    logsnr, eps = Cosine()(draw.times()).to(x0), draw.normal("training noise", x0)
    assert torch.equal(found, diffusion_loss(halved, prediction, x0, logsnr, eps, COND, weighting=MinSNR()))


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_all_weightings_go_with_all_times_and_a_learned_schedule(name, weighting):
    objective = Objective(weighting=WEIGHTINGS[weighting](), times=TIMES[name]())
    for schedule in (Cosine(), Learned().build()):
        losses = objective(halved, V, schedule, x0_of(8), COND, draws(8))
        assert losses.shape == (8,) and losses.dtype == torch.float32 and losses.isfinite().all()
        if losses.requires_grad:
            losses.mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in objective.parameters())


def test_what_learns_and_remembers_is_in_its_state():
    assert not Objective(weighting=Simple(), times=Uniform()).state_dict()
    whole = Objective(weighting=Uncertainty(), times=Importance())
    assert set(whole.state_dict()) == {"weighting.a", "times.square", "times.seen"}
    assert [name for name, _ in whole.named_parameters()] == ["weighting.a"]


@pytest.mark.parametrize("name", ["cosine", "flow", "sigmoid", "learned"])
def test_the_slope_is_that_of_the_schedule_and_finite_at_the_ends(name):
    schedule = SCHEDULES[name]()
    t = torch.tensor([0.0, 1e-9, 0.2, 0.5, 0.8, 1.0], dtype=torch.float64)
    logsnr, measure = measured(schedule, ELBO(), t)
    assert torch.equal(logsnr, schedule(t)) and measure.isfinite().all() and (measure >= 0).all()
    h = 1e-6
    torch.testing.assert_close(measure[2:5], (schedule(t - h) - schedule(t + h))[2:5] / (2 * h), rtol=1e-6, atol=0)
    _, one = measured(schedule, Simple(), t)
    assert (one == 1).all()


def test_uncertainty_learns_the_log_of_the_loss():
    """At the minimum over u of e^-u L + u each level has u = log L, and the loss 1 + log L."""
    level = torch.linspace(-8, 8, 64)
    size = torch.exp(torch.sin(level / 3) * 2)
    weighting = Uncertainty().build()
    optimizer = torch.optim.Adam(weighting.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        u = weighting.u(level)
        (torch.exp(-u) * size + u).mean().backward()
        optimizer.step()
    torch.testing.assert_close(weighting.u(level), size.log(), rtol=0, atol=0.05)
    torch.testing.assert_close(weighting(level, V) / V.k(level) * size, torch.ones(64), rtol=0, atol=0.05)


def test_uncertainty_begins_as_the_weighting_simple():
    x0, draw = x0_of(8), draws(8)
    learned, simple = (
        Objective(weighting=weighting, times=LowDiscrepancy())(halved, EPS, Cosine(), x0, COND, draw)
        for weighting in (Uncertainty(), Simple())
    )
    assert torch.equal(learned, simple)


def test_the_loss_with_uncertainty():
    x0, draw = x0_of(8), draws(8)
    objective = Objective(weighting=Uncertainty(waves=3), times=LowDiscrepancy())
    with torch.no_grad():
        objective.weighting.a.copy_(torch.tensor([0.3, -1.0, 0.5]))
    position = torch.sigmoid(Cosine()(draw.times()) / 4)
    u = 0.3 - torch.cos(math.pi * position) + 0.5 * torch.cos(2 * math.pi * position)
    plain = Objective(weighting=Simple(), times=LowDiscrepancy())(halved, V, Cosine(), x0, COND, draw)
    found = objective(halved, V, Cosine(), x0, COND, draw)
    torch.testing.assert_close(found.double(), torch.exp(-u) * plain + u, rtol=1e-5, atol=1e-6)


def test_autocast_leaves_u_in_float32():
    weighting = LearnedUncertainty(16)
    torch.nn.init.normal_(weighting.a)
    level = torch.linspace(-15, 15, 50)
    with torch.autocast("cpu", torch.bfloat16):
        inside = weighting.u(level)
    assert inside.dtype == torch.float32 and torch.equal(inside, weighting.u(level))


def test_importance_learns_from_the_losses_it_weighs():
    """A network that errs near t = 0.25 alone: its levels are drawn more, and the mean of the loss stays."""

    def network(z, logsnr, cond):
        eps = z * (1 + logsnr.exp()).sqrt()[:, None]  # as x0 = 0
        return eps + 3 * torch.exp(-((logsnr - Cosine()(torch.tensor(0.25))) ** 2))[:, None]

    def losses(objective, first):
        draw = draws(64, first)
        return objective(network, EPS, Cosine(), torch.zeros(64, 1), COND, draw)

    aware, plain = (Objective(weighting=Simple(), times=times) for times in (Importance(), LowDiscrepancy()))
    for k in range(20):
        losses(aware, 64 * k)
    assert aware.times.probabilities().argmax() in (7, 8)
    found, expected = (torch.cat([losses(o, 10**5 + 64 * k) for k in range(30)]) for o in (aware, plain))
    assert abs(found.mean() - expected.mean()) < 0.05 * expected.mean()
    assert found.var() < expected.var() / 4
