"""The objective: weights are stated on x0, so that one weighting is one function whatever the network predicts."""

import math

import pytest
import torch

from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.loss import DISTANCES, diffusion_loss
from filmgrain.diffusion.prediction import EPS, PREDICTIONS, V
from filmgrain.diffusion.process import alpha_sigma
from filmgrain.diffusion.weighting import MinSNR, Simple, TruncatedSNR

LOGSNR = torch.linspace(-6, 6, 7)


def sample(shape=(7, 3, 4, 5)):
    rng = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=rng) for _ in range(3)]


def loss_of(prediction, weighting, distance="l2"):
    """The loss of a network, given in terms of x0: x0_hat = x0 + error at every level."""
    x0, eps, error = sample()

    def network(z, logsnr, cond):
        a, s = alpha_sigma(logsnr, z)
        found = x0 + error
        return prediction.target(found, (z - a * found) / s, a, s)  # F of that x0_hat

    return diffusion_loss(network, prediction, x0, LOGSNR, eps, Cond(), weighting=weighting, distance=distance)


@pytest.mark.parametrize("name", PREDICTIONS)
def test_min_snr_is_the_same_loss_whatever_is_predicted(name):
    *_, error = sample()
    expected = LOGSNR.exp().clamp(max=5) * error.square().flatten(1).mean(1)
    torch.testing.assert_close(loss_of(PREDICTIONS[name], MinSNR()), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", PREDICTIONS)
def test_simple_puts_no_factor_on_the_output(name):
    *_, error = sample()
    expected = PREDICTIONS[name].k(LOGSNR) * error.square().flatten(1).mean(1)
    torch.testing.assert_close(loss_of(PREDICTIONS[name], Simple()), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("distance", "of"),
    [
        ("l2", torch.square),
        ("l1", torch.abs),
        ("huber", lambda e: torch.where(e.abs() < 1, e.square() / 2, e.abs() - 0.5)),
    ],
)
def test_distances_are_of_the_networks_output(distance, of):
    x0, eps, error = sample()
    error = 2 * error
    found = diffusion_loss(
        lambda z, logsnr, cond: eps + error, EPS, x0, LOGSNR, eps, Cond(), weighting=Simple(), distance=distance
    )
    torch.testing.assert_close(found, of(error).flatten(1).mean(1), rtol=1e-4, atol=1e-6)
    assert set(DISTANCES) == {"l2", "l1", "huber"}


def test_the_network_sees_z_at_its_level_and_its_condition():
    x0, eps, _ = sample()
    cond, seen = Cond(vector=torch.ones(7, 1)), {}

    def network(z, logsnr, cond):
        seen.update(z=z, logsnr=logsnr, cond=cond)
        return z.bfloat16()  # as under autocast

    loss = diffusion_loss(network, V, x0, LOGSNR, eps, cond, weighting=Simple())
    a, s = alpha_sigma(LOGSNR, x0)
    assert torch.equal(seen["z"], a * x0 + s * eps) and seen["cond"] is cond and seen["logsnr"] is LOGSNR
    assert loss.dtype == torch.float32 and loss.shape == (7,)


def test_min_snr_is_clamped_from_above():
    """Mistake 19: max in place of min. Nearly clean inputs have weight gamma, noisy ones their SNR."""
    weight = MinSNR(gamma=5)(torch.tensor([-3.0, 0.0, 3.0, 15.0]), V)
    torch.testing.assert_close(weight, torch.tensor([math.exp(-3), 1.0, 5.0, 5.0]))


def test_a_gamma_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="gamma=0") as caught:
        MinSNR(gamma=0)
    assert "\n" not in str(caught.value)


def test_truncated_snr_is_bounded_on_both_sides():
    snr = torch.tensor([0.01, 1.0, 4.0, 1e6])
    torch.testing.assert_close(TruncatedSNR(high=10)(snr.log(), V), torch.tensor([1.0, 1.0, 4.0, 10.0]))
    torch.testing.assert_close(TruncatedSNR()(snr.log(), EPS), torch.tensor([1.0, 1.0, 4.0, 1e6]), rtol=1e-5, atol=0)
    with pytest.raises(ValueError, match=r"^low=3 and high=2 .* no range$"):
        TruncatedSNR(low=3, high=2)
