"""Mixtures: against a Gaussian, Tweedie's formula, and what a class or a known value should do."""

import math

import pytest
import torch

from filmgrain.analytic.gaussian import Gaussian
from filmgrain.analytic.mixture import Mixture
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.denoiser import Denoiser
from filmgrain.diffusion.process import alpha, sigma

F64 = torch.float64


def three(n=2, seed=0):
    rng = torch.Generator().manual_seed(seed)
    means = 2 * torch.randn(3, n, generator=rng, dtype=F64)
    return Mixture(torch.tensor([0.5, 0.2, 0.3], dtype=F64), means, torch.tensor([0.2, 0.4, 0.7], dtype=F64))


def level(value, count=1):
    return torch.full((count,), value, dtype=F64)


def test_one_blob_is_a_gaussian():
    blob = Mixture(torch.ones(1, dtype=F64), torch.full((1, 3), 0.4, dtype=F64), torch.tensor([0.6], dtype=F64))
    gaussian, z = Gaussian.isotropic(3, 0.4, 0.6), torch.randn(5, 3, dtype=F64)
    logsnr = torch.linspace(-10, 10, 5, dtype=F64)
    torch.testing.assert_close(blob(z, logsnr, Cond()), gaussian(z, logsnr, Cond()))
    torch.testing.assert_close(blob.log_density(z, 1.0), gaussian.log_density(z, 1.0))
    for ours, theirs in zip(blob.marginal(1.0), gaussian.marginal(1.0), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("logsnr", [-4.0, 0.0, 4.0])
def test_the_denoiser_follows_from_the_density(logsnr):
    """Tweedie: E[x0 | z] = (z + sigma^2 grad log p(z)) / alpha."""
    data, z = three(), torch.randn(5, 2, dtype=F64, requires_grad=True)
    (score,) = torch.autograd.grad(data.log_density(z, logsnr).sum(), z)
    a, s = alpha(level(logsnr)), sigma(level(logsnr))
    torch.testing.assert_close(data(z, level(logsnr, 5), Cond()), (z + s**2 * score) / a)


def test_draws_and_marginal_agree():
    data, count = three(), 60_000
    rng = torch.Generator().manual_seed(0)
    z = alpha(level(1.0)) * data.draw(count, rng) + sigma(level(1.0)) * torch.randn(count, 2, generator=rng, dtype=F64)
    mean, covariance = data.marginal(1.0)
    spread = covariance.diagonal().max()
    assert (z.mean(0) - mean).abs().max() < 5 * (spread / count).sqrt()
    assert (z.T.cov() - covariance).abs().max() < 10 * spread / count**0.5


def test_the_density_sums_to_one():
    data = three(1)
    x = torch.linspace(-12, 12, 20_001, dtype=F64)[:, None]
    for logsnr in (-1.0, 2.0, math.inf):
        assert torch.trapezoid(data.log_density(x, logsnr).exp(), x[:, 0]).item() == pytest.approx(1, abs=1e-6)


def test_a_class_is_its_blob_and_ones_are_all():
    data, z, logsnr = three(), torch.randn(3, 2, dtype=F64), level(0.0, 3)
    picked = data(z, logsnr, Cond(vector=torch.eye(3, dtype=F64)))
    for k in range(3):
        blob = Mixture(data.weights[k : k + 1], data.means[k : k + 1], data.stds[k : k + 1])
        torch.testing.assert_close(picked[k : k + 1], blob(z[k : k + 1], logsnr[:1], Cond()))
    torch.testing.assert_close(data(z, logsnr, Cond(vector=torch.ones(3, 3))), data(z, logsnr, Cond()))
    assert (picked - data(z, logsnr, Cond())).abs().max() > 0.1


def test_a_conditional_is_the_joint_divided_by_the_marginal():
    data, mask = three(4), torch.tensor([True, False, True, False])
    known = Mixture(data.weights, data.means[:, mask], data.stds)
    for row in data.draw(4, torch.Generator().manual_seed(1)):
        expected = data.log_density(row[None]) - known.log_density(row[None, mask])
        torch.testing.assert_close(data.conditional(mask, row[mask]).log_density(row[None, ~mask]), expected)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_it_is_a_denoiser_of_any_shape_in_the_dtype_of_z(dtype):
    data = three(6)
    assert isinstance(data, Denoiser)
    z = torch.randn(3, 1, 6, 1, 1, dtype=dtype)
    x0 = data(z, torch.tensor([-20.0, 0.0, 20.0], dtype=dtype), Cond())
    assert x0.shape == z.shape and x0.dtype == dtype and x0.isfinite().all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"shapes \(2,\), \(3, 4\), \(2,\)"):
        Mixture(torch.ones(2), torch.zeros(3, 4), torch.ones(2))
    with pytest.raises(ValueError, match=r"cond.vector \(1, 2\) .* each of 3 classes"):
        three()(torch.zeros(1, 2, dtype=F64), level(0.0), Cond(vector=torch.ones(1, 2)))
    with pytest.raises(ValueError, match="do not fit n=2"):
        three().conditional(torch.tensor([True, False]), torch.zeros(2))
