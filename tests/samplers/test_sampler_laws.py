"""Samplers against the truth: Gaussian data, whose best denoiser is known in closed form.

x0 ~ N(m, s^2) gives E[x0 | z] = m + (alpha s^2 / (alpha^2 s^2 + sigma^2)) (z - alpha m). Every step is then linear in
z, so that the mean and the variance of z after any number of steps follow from a recursion, written here in the
textbook's terms, and the exact flow is known as well.
"""

import math
from itertools import pairwise

import pytest
import torch

from filmgrain.diffusion import grids
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.process import alpha, alpha_sigma, posterior_mean, renewed, sigma
from filmgrain.diffusion.schedules import Cosine
from filmgrain.diffusion.tables import LinearBeta
from filmgrain.guidance.static_threshold import StaticThreshold
from filmgrain.samplers import ancestral, ddim, ddpm, dpmpp_2m_sde, edm, last

F64 = torch.float64
M, S = 0.4, 0.6  # of the data
COUNT = 60_000  # values sampled; the error of their mean is S / sqrt(COUNT), of their variance S^2 sqrt(2 / COUNT)


def gaussian(m=M, s=S):
    def denoiser(z, logsnr, cond):
        a, sg = alpha_sigma(logsnr, z)
        return m + a * s**2 / (a**2 * s**2 + sg**2) * (z - a * m)

    return denoiser


def random(seed=0):
    rng = torch.Generator().manual_seed(seed)
    return lambda step, like: torch.randn(like.shape, generator=rng, dtype=like.dtype)


def moments_after(levels, x0_and_eps, added):
    """Mean and variance after the walk, z_s = p x0_hat + q eps_hat + sqrt(added) eps with (p, q) = x0_and_eps(t, s)."""
    mean, variance = 0.0, 1.0
    for t, s in pairwise(levels.double()):
        a, sg = alpha(t), sigma(t)
        gain = a * S**2 / (a**2 * S**2 + sg**2)  # x0_hat = gain z + shift
        shift = M - gain * a * M
        p, q = x0_and_eps(t, s)
        slope, offset = p * gain + q * (1 - a * gain) / sg, p * shift - q * a * shift / sg
        mean = slope * mean + offset
        variance = slope**2 * variance + (added(t, s) if s < math.inf else 0)
    return float(mean), float(variance)


def assert_moments(z, mean, variance, deviations=4.5):
    assert z.mean().item() == pytest.approx(mean, abs=deviations * (variance / z.numel()) ** 0.5)
    assert z.var().item() == pytest.approx(variance, rel=deviations * (2 / z.numel()) ** 0.5)


def beta_tilde(t, s):
    return renewed(t, s) * sigma(s) ** 2


def beta(t, s):
    return renewed(t, s) * sigma(t) ** 2


def posterior(t, s):
    """The posterior mean in x0_hat and eps_hat: alpha_s x0 + (sigma_s^2 alpha_t / (alpha_s sigma_t)) eps."""
    return alpha(s), sigma(s) ** 2 * alpha(t) / (alpha(s) * sigma(t))


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    "levels", [grids.levels(Cosine(), 96), grids.levels(LinearBeta(), 96)], ids=["cosine", "linear_beta"]
)
def test_ancestral_moments(gamma, levels):
    def added(t, s):
        return beta_tilde(t, s) ** (1 - gamma) * beta(t, s) ** gamma

    mean, variance = moments_after(levels, posterior, added)
    noise = random()
    z = last(ancestral.sample(gaussian(), noise(0, torch.empty(COUNT, 1)), levels, Cond(), noise=noise, gamma=gamma))
    assert_moments(z, mean, variance)
    assert mean == pytest.approx(M, abs=0.02) and variance == pytest.approx(S**2, rel=0.15)  # and near to the truth


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_moments(eta):
    def x0_and_eps(t, s):
        return alpha(s), (sigma(s) ** 2 - eta**2 * beta_tilde(t, s)).sqrt()

    levels, noise = grids.levels(Cosine(), 96), random()
    mean, variance = moments_after(levels, x0_and_eps, lambda t, s: eta**2 * beta_tilde(t, s))
    z = last(ddim.sample(gaussian(), noise(0, torch.empty(COUNT, 1)), levels, Cond(), noise=noise, eta=eta))
    assert_moments(z, mean, variance)
    assert mean == pytest.approx(M, abs=0.02) and variance == pytest.approx(S**2, rel=0.15)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0])
def test_ancestral_sampling_comes_to_the_truth_as_steps_grow(gamma):
    def error(steps):
        def added(t, s):
            return beta_tilde(t, s) ** (1 - gamma) * beta(t, s) ** gamma

        mean, variance = moments_after(grids.levels(Cosine(), steps), posterior, added)
        return abs(mean - M) + abs(variance - S**2)

    assert error(1024) < 0.005
    assert error(1024) < 0.6 * error(512) < 0.36 * error(256)


def one_step(sampler, t, s, z, x0, noise=None, **options):
    levels = torch.tensor([t, s], dtype=F64)
    noise = noise or (lambda step, like: torch.ones_like(like))
    return last(sampler.sample(lambda z, logsnr, cond: x0, z, levels, Cond(), noise=noise, **options))


@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 1.0])
def test_gamma_is_an_exponent(gamma):
    """Mistake 2: gamma as a factor of the variances, or eps inside the root."""
    t, s = torch.tensor(-2.0, dtype=F64), torch.tensor(1.0, dtype=F64)
    z, x0 = torch.randn(2, 3, dtype=F64), torch.randn(2, 3, dtype=F64)
    added = one_step(ancestral, t, s, z, x0, gamma=gamma) - posterior_mean(z, x0, t, s)
    expected = (beta_tilde(t, s).log() * (1 - gamma) + beta(t, s).log() * gamma).exp().sqrt()
    torch.testing.assert_close(added, expected.expand(2, 3))
    if 0 < gamma < 1:
        mixed = ((1 - gamma) * beta_tilde(t, s) + gamma * beta(t, s)).sqrt()
        assert abs(mixed - expected) > 0.01
    minus = one_step(ancestral, t, s, z, x0, gamma=gamma, noise=lambda step, like: -torch.ones_like(like))
    torch.testing.assert_close(minus, posterior_mean(z, x0, t, s) - expected)


@pytest.mark.parametrize("eta", [0.25, 0.5, 1.0])
def test_a_step_of_ddim_has_eta_times_the_posteriors_deviation(eta):
    """Song et al. 2021, eq. 12 and 16. The moments of a whole walk cannot tell: every eta keeps the marginals."""
    t, s = torch.tensor(-2.0, dtype=F64), torch.tensor(1.0, dtype=F64)
    z, x0 = torch.randn(2, 3, dtype=F64), torch.randn(2, 3, dtype=F64)
    deviation = eta * beta_tilde(t, s).sqrt()
    eps = (z - alpha(t) * x0) / sigma(t)
    expected = alpha(s) * x0 + (sigma(s) ** 2 - deviation**2).sqrt() * eps + deviation
    torch.testing.assert_close(one_step(ddim, t, s, z, x0, eta=eta), expected)


def test_each_step_of_the_chain_is_ddpm():
    """Mistake 3, through the sampler: a step of the T-step chain is Ho et al. 2020, Algorithm 2, at both variances."""
    table = LinearBeta().table
    b = torch.linspace(1e-4, 0.02, 1000, dtype=F64)
    bar = (1 - b).cumprod(0)
    z, eps = torch.randn(2, 3, dtype=F64), torch.randn(2, 3, dtype=F64)
    for i in (999, 500, 7, 1):
        x0 = (z - (1 - bar[i]).sqrt() * eps) / bar[i].sqrt()
        mean = (z - b[i] / (1 - bar[i]).sqrt() * eps) / (1 - b[i]).sqrt()
        small = ((1 - bar[i - 1]) / (1 - bar[i]) * b[i]).sqrt()
        for gamma, deviation in ((0.0, small), (1.0, b[i].sqrt())):
            ours = one_step(ancestral, table[i], table[i - 1], z, x0, gamma=gamma)
            torch.testing.assert_close(ours, mean + deviation, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("sampler", "options"),
    [(ancestral, {"gamma": 0.3}), (ddim, {"eta": 1.0}), (ddpm, {"variance": "fixedlarge"}), (dpmpp_2m_sde, {})],
)
def test_no_noise_enters_the_data(sampler, options):
    """Mistake 7: the last step is told by the level, for the whole batch, and only where the level is +inf."""
    asked = []

    def noise(step, like):
        asked.append(step)
        return torch.full_like(like, 100.0)

    z = torch.zeros(3, 2)
    *_, end = sampler.sample(gaussian(), z, torch.tensor([-3.0, 0.0, 2.0, math.inf]), Cond(), noise=noise, **options)
    assert asked == [0, 1] and torch.equal(end.z, end.x0)
    asked.clear()
    list(sampler.sample(gaussian(), z, torch.tensor([-3.0, 0.0, 2.0]), Cond(), noise=noise, **options))
    assert asked == [0, 1]


@pytest.mark.parametrize("sampler", [ancestral, ddim])
def test_x0_is_clipped_before_the_mean(sampler):
    """Mistake 10: the mean of an x0 outside the pixels' range, clipped afterwards."""
    t, s = torch.tensor([-4.0, -2.0], dtype=F64)
    z, wild = torch.full((1, 2), 0.5, dtype=F64), torch.tensor([[5.0, -3.0]], dtype=F64)

    def step(denoiser):
        levels = torch.stack([t, s])
        return last(sampler.sample(denoiser, z, levels, Cond(), noise=lambda step, like: torch.zeros_like(like)))

    clipped = step(StaticThreshold(lambda z, logsnr, cond: wild))
    torch.testing.assert_close(clipped, step(lambda z, logsnr, cond: wild.clamp(-1, 1)))
    assert (clipped - step(lambda z, logsnr, cond: wild).clamp(-1, 1)).abs().max() > 0.01
    narrower = step(StaticThreshold(lambda z, logsnr, cond: wild, limit=0.25))
    torch.testing.assert_close(narrower, step(lambda z, logsnr, cond: wild.clamp(-0.25, 0.25)))


def test_ddim_with_eta_1_is_ancestral_sampling_with_gamma_0():
    levels, z = grids.levels(Cosine(), 20).double(), torch.randn(50, 3, dtype=F64)
    a = ancestral.sample(gaussian(), z, levels, Cond(), noise=random(1), gamma=0.0)
    b = ddim.sample(gaussian(), z, levels, Cond(), noise=random(1), eta=1.0)
    for one, other in zip(a, b, strict=True):
        torch.testing.assert_close(one.z, other.z, rtol=0, atol=1e-6)


def variance_at_the_end(sampler, levels, s, **options):
    """The variance after a walk, exactly: a linear sampler's end is a sum over the start and each step's noise.

    Row 0 of the batch has neither, row 1 a start of 1, row 2 + i the noise 1 in step i.
    """

    def noise(step, like):
        return (torch.arange(len(like)) == 2 + step).to(like)[:, None]

    z = torch.zeros(len(levels) + 1, 1, dtype=F64)
    z[1] = 1
    end = last(sampler.sample(gaussian(s=s), z, levels, Cond(), noise=noise, **options))
    weights = (end[1:] - end[0]).square().flatten()
    return marginal(levels[0], s) * weights[0] + weights[1:].sum()


def marginal(level, s):
    return alpha(level) ** 2 * s**2 + sigma(level) ** 2


@pytest.mark.parametrize(
    ("sampler", "options", "order"),
    [
        (ancestral, {"gamma": 0.3}, 1),
        (ddpm, {"variance": "fixedlarge"}, 1),
        (ddim, {"eta": 0.5}, 1),
        (edm, {"s_churn": 10.0, "s_noise": 1.0}, 2),
        (dpmpp_2m_sde, {"eta": 0.5}, 2),
        (dpmpp_2m_sde, {"eta": 1.0}, 2),
    ],
)
def test_the_variance_comes_to_the_truth_with_this_order(sampler, options, order):
    """From logsnr -8 to the finite level 4, relative errors of three data scales pooled."""
    errors = []
    for steps in (32, 64, 128):
        levels = torch.linspace(-8, 4, steps + 1, dtype=F64)
        ratios = [variance_at_the_end(sampler, levels, s, **options) / marginal(levels[-1], s) for s in (0.2, 0.7, 2.0)]
        errors.append((torch.stack(ratios) - 1).square().mean().sqrt().item())
    orders = [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    assert all(order - 0.15 <= each <= order + 0.15 for each in orders), orders


@pytest.mark.parametrize("s_noise", [1.0, 1.007])
def test_edm_moments(s_noise):
    """In y - m, where D - m = s^2 / (s^2 + r^2) (y - m): a gain a step, and the variance that churn adds."""
    levels = torch.linspace(-9, 5, 21, dtype=F64)
    r = (-levels / 2).exp()

    def slope(r):
        return r / (S**2 + r**2)

    variance = S**2 + r[0] ** 2
    for t, s in pairwise(r):
        g = 0.25 if 0.3 <= t <= 10 else 0.0
        variance = variance + ((1 + g) ** 2 - 1) * t**2 * s_noise**2
        h = s - (1 + g) * t
        ahead = 1 + h * slope((1 + g) * t)
        variance = variance * (1 + h * (slope((1 + g) * t) + slope(s) * ahead) / 2) ** 2
    found = variance_at_the_end(edm, levels, S, s_churn=5.0, s_min=0.3, s_max=10.0, s_noise=s_noise)
    torch.testing.assert_close(found, alpha(levels[-1]) ** 2 * variance)


@pytest.mark.parametrize(
    ("sampler", "options", "bias"), [(ddpm, {}, 0.1), (dpmpp_2m_sde, {}, 0.03), (edm, {"s_noise": 1.0}, 0.03)]
)
def test_samples_of_the_data_have_their_moments(sampler, options, bias):
    """All the way to +inf, by samples."""
    levels, noise = torch.cat([torch.linspace(-10, 6, 128), torch.tensor([math.inf])]), random()
    z = last(sampler.sample(gaussian(), noise(0, torch.empty(COUNT, 1)), levels, Cond(), noise=noise, **options))
    assert z.mean().item() == pytest.approx(M, abs=0.02) and z.var().item() == pytest.approx(S**2, rel=bias)
