"""Gaussian data: each closed form against another, or against an integral done by hand."""

import math

import pytest
import torch

from filmgrain.analytic.gaussian import Gaussian
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.denoiser import Denoiser
from filmgrain.diffusion.process import alpha, sigma

F64 = torch.float64


def random(n=4, seed=0):
    rng = torch.Generator().manual_seed(seed)
    root = torch.randn(n, n, generator=rng, dtype=F64)
    return Gaussian(torch.randn(n, generator=rng, dtype=F64), root @ root.T / n)


def level(value, count=1):
    return torch.full((count,), value, dtype=F64)


@pytest.mark.parametrize("logsnr", [-12.0, -1.0, 0.0, 3.0, 12.0])
def test_the_denoiser_is_the_regression_of_x0_on_z(logsnr):
    """Without an eigenbasis: mean + alpha S (alpha^2 S + sigma^2 I)^-1 (z - alpha mean)."""
    data, z = random(), torch.randn(5, 4, dtype=F64)
    mean, covariance = data.marginal(logsnr)
    a = alpha(level(logsnr))
    expected = data.mean + (a * data.covariance @ torch.linalg.solve(covariance, (z - mean).T)).T
    torch.testing.assert_close(data(z, level(logsnr, 5), Cond()), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("logsnr", [-4.0, 0.0, 4.0])
def test_the_denoiser_follows_from_the_density(logsnr):
    """Tweedie: E[x0 | z] = (z + sigma^2 grad log p(z)) / alpha."""
    data, z = random(), torch.randn(5, 4, dtype=F64, requires_grad=True)
    (score,) = torch.autograd.grad(data.log_density(z, logsnr).sum(), z)
    a, s = alpha(level(logsnr)), sigma(level(logsnr))
    torch.testing.assert_close(data(z, level(logsnr, 5), Cond()), (z + s**2 * score) / a)


def test_the_flow_solves_its_equation():
    """By central differences: dy/dr = (y - x0) / r, with y = z / alpha and r = sigma / alpha = e^(-logsnr / 2)."""
    data, z, t = random(), torch.randn(3, 4, dtype=F64), torch.tensor(-1.0, dtype=F64)
    h = 1e-4

    def y(s):
        return data.flow(z, t, s) / alpha(s)

    r = [(-(t + shift) / 2).exp() for shift in (h, 0, -h)]
    slope = (y(t + h) - y(t - h)) / (r[0] - r[2])
    torch.testing.assert_close(slope, (y(t) - data(z, t.expand(3), Cond())) / r[1], rtol=1e-6, atol=1e-6)


def test_the_flow_composes_and_carries_the_marginal():
    data, z = random(), torch.randn(3, 4, dtype=F64)
    there = data.flow(data.flow(z, -6.0, 1.0), 1.0, math.inf)
    torch.testing.assert_close(there, data.flow(z, -6.0, math.inf))
    torch.testing.assert_close(data.flow(there, math.inf, -6.0), z)
    mean, covariance = data.marginal(-6.0)
    deviations = torch.linalg.cholesky(covariance)
    image = data.flow(mean + deviations.T, -6.0, math.inf) - data.mean  # rows: the image of each deviation
    torch.testing.assert_close(image.T @ image, data.covariance)


def test_draws_have_the_moments():
    data, count = random(), 40_000
    x = data.draw(count, torch.Generator().manual_seed(0))
    assert (x.mean(0) - data.mean).abs().max() < 5 * (data.covariance.diagonal().max() / count).sqrt()
    assert (x.T.cov() - data.covariance).abs().max() < 7 * data.covariance.diagonal().max() / count**0.5


def test_the_density_is_that_of_the_textbook():
    data, x = random(), torch.randn(6, 4, dtype=F64)
    for logsnr in (-2.0, 1.0, math.inf):
        reference = torch.distributions.MultivariateNormal(*data.marginal(logsnr))
        torch.testing.assert_close(data.log_density(x, logsnr), reference.log_prob(x))


def test_a_conditional_is_the_joint_divided_by_the_marginal():
    data, mask = random(5), torch.tensor([True, False, True, True, False])
    x = torch.randn(4, 5, dtype=F64)
    known = Gaussian(data.mean[mask], data.covariance[mask][:, mask])
    for row in x:
        conditional = data.conditional(mask, row[mask])
        expected = data.log_density(row[None]) - known.log_density(row[None, mask])
        torch.testing.assert_close(conditional.log_density(row[None, ~mask]), expected)


def test_ar1_is_a_chain():
    """The next frame depends on the last alone, with slope rho and variance 1 - rho^2."""
    data = Gaussian.ar1(6, 0.95)
    slope, left = data.regression(torch.tensor([True] * 5 + [False]))
    torch.testing.assert_close(slope, torch.tensor([[0, 0, 0, 0, 0.95]], dtype=F64), rtol=0, atol=1e-12)
    torch.testing.assert_close(left, torch.tensor([[1 - 0.95**2]], dtype=F64))


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_it_is_a_denoiser_of_any_shape_in_the_dtype_of_z(dtype):
    data = Gaussian.ar1(6, 0.9)
    assert isinstance(data, Denoiser)
    z = torch.randn(3, 1, 6, 1, 1, dtype=dtype)
    x0 = data(z, torch.tensor([-3.0, 0.0, 3.0], dtype=dtype), Cond())
    assert x0.shape == z.shape and x0.dtype == dtype
    alone = data(z[1:2].flatten(1), torch.zeros(1, dtype=dtype), Cond())
    torch.testing.assert_close(alone.flatten(), x0[1].flatten())


def test_a_point_and_the_unit_gaussian_are_as_they_should_be():
    z = torch.randn(2, 3, dtype=F64)
    torch.testing.assert_close(Gaussian.isotropic(3, 0.5, 0.0)(z, level(1.0, 2), Cond()), torch.full_like(z, 0.5))
    torch.testing.assert_close(Gaussian.isotropic(3).flow(z, -3.0, math.inf), z)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Gaussian(torch.zeros(2), torch.eye(3)), r"mean \(2,\) and covariance \(3, 3\)"),
        (lambda: Gaussian.ar1(4, 1.0), "rho=1.0"),
        (lambda: Gaussian.isotropic(3).conditional(torch.ones(3) > 0, torch.zeros(2)), r"values \(2,\) do not fit n=3"),
    ],
)
def test_what_does_not_fit_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
