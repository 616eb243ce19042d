"""The variational bound on data whose likelihood is known: Gaussians, and bytes with known probabilities."""

import itertools
import math
from itertools import pairwise

import pytest
import torch

from filmgrain.analytic.gaussian import Gaussian
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.decoders import APART, bits, density_about, density_from_z
from filmgrain.diffusion.draw import Draw
from filmgrain.diffusion.likelihood import continuous_bound, discrete_bound, prior_kl, spread
from filmgrain.diffusion.process import alpha, alpha_sigma, renewed, sigma
from filmgrain.diffusion.schedules import Cosine, CosineBeta, LinearBeta

F64 = torch.float64
AR1 = Gaussian.ar1(16, 0.95)
VALUES = torch.arange(256, dtype=F64) * APART - 1
LOG_P = torch.logaddexp(-(((torch.arange(256) - 90) / 20) ** 2), -(((torch.arange(256) - 200) / 6) ** 2)).double()
LOG_P = LOG_P.log_softmax(0)  # of bytes in two heaps


def known_bytes(z, logsnr, cond):
    """E[x0 | z] of independent bytes, each of probabilities exp(LOG_P)."""
    a, s = (part[..., None] for part in alpha_sigma(logsnr, z))
    return (LOG_P - (z[..., None] - a * VALUES) ** 2 / (2 * s**2)).softmax(-1) @ VALUES


def some_bytes(count, n, seed=0):
    """x0 (count, n) and -log P(x0) of each sample."""
    index = torch.multinomial(LOG_P.exp(), count * n, True, generator=torch.Generator().manual_seed(seed))
    return VALUES[index].reshape(count, n), -LOG_P[index].reshape(count, n).sum(1)


def draw(count, seed=0):
    return Draw(seed, tuple(range(count)))


def error_left(data, logsnr, x0):
    """E|x0 - x0_hat(z)|^2 over z ~ q(z | x0), in closed form: with the gain g of each eigenvector,
    x0 - x0_hat = (1 - g alpha)(x0 - m) - g sigma eps. Levels (l) and x0 (b, n) give (l, b)."""
    e, vectors = data.spectrum
    a, s = alpha(logsnr)[:, None], sigma(logsnr)[:, None]
    gain = a * e / (a**2 * e + s**2)
    return (1 - gain * a).square() @ ((x0 - data.mean) @ vectors).square().T + (gain * s).square().sum(1, keepdim=True)


def exact_bound(data, x0, low, high, points=5_000):
    """The three terms in closed form, but for an integral in one dimension."""
    levels = torch.linspace(low, high, points, dtype=F64)
    inside = levels.exp()[:, None] * error_left(data, levels, x0)
    return prior_kl(x0, low) + torch.trapezoid(inside, levels, dim=0) / 2 + density_from_z(x0, high)


def test_the_prior_is_the_divergence_from_pure_noise():
    x0, level = torch.randn(3, 2, 4, dtype=F64), torch.tensor(-3.0, dtype=F64)
    q = torch.distributions.Normal(alpha(level) * x0, sigma(level))
    expected = torch.distributions.kl_divergence(q, torch.distributions.Normal(torch.zeros_like(x0), 1.0))
    torch.testing.assert_close(prior_kl(x0, -3.0), expected.flatten(1).sum(1))
    assert 0 < float(prior_kl(x0.float(), -20.0).max()) < 1e-7  # without cancellation


def test_the_bound_of_the_best_denoiser_is_the_likelihood_but_for_the_ends():
    """In closed form: it lies above, and from -20 to 20 by less than 1e-6 nats a dimension."""
    x0 = AR1.draw(20, torch.Generator().manual_seed(0))
    truth = -AR1.log_density(x0)
    for low, high, most in ((-20.0, 20.0, 1e-6), (-20.0, 9.0, 0.03), (-4.0, 20.0, 0.1)):
        gap = (exact_bound(AR1, x0, low, high) - truth).mean() / 16
        assert -2e-6 < gap < most
    assert gap > 1e-4


@pytest.mark.parametrize("levels", [16, 64])
def test_the_estimate_is_that_value_within_its_error(levels):
    x0 = AR1.draw(150, torch.Generator().manual_seed(1))
    options = {"low": -20.0, "high": 9.0, "levels": levels, "decoder": density_from_z}
    bound = continuous_bound(AR1, x0, Cond(), draw=draw(150), **options)
    off = bound.nats - exact_bound(AR1, x0, -20.0, 9.0)
    assert off.mean().abs() < 4 * off.std() / math.sqrt(150)
    assert 0.7 < bound.error.square().mean().sqrt() / off.std() < 1.3  # and says how far off it is


def test_another_denoiser_has_a_greater_bound():
    """By half the integral of e^logsnr |x0_hat - best|^2."""

    def worse(z, logsnr, cond):
        return 0.9 * AR1(z, logsnr, cond)

    x0 = AR1.draw(50, torch.Generator().manual_seed(1))
    options = {"draw": draw(50), "low": -10.0, "high": 6.0, "decoder": density_from_z}
    best, other = (continuous_bound(denoiser, x0, Cond(), **options) for denoiser in (AR1, worse))
    assert (other.nats - best.nats).mean() > 0.1 * 16


def test_bytes_have_the_bits_that_their_probabilities_say():
    """The highest level may lie anywhere above where bytes part: what the integral gains the decoder loses."""
    x0, truth = some_bytes(30, 128)
    for high in (12.0, 15.0):
        bound = continuous_bound(known_bytes, x0, Cond(), draw=draw(30), high=high, levels=32)
        off = bits(bound.nats - truth, 128)
        assert off.mean().abs() < 4 * off.std() / math.sqrt(30) and off.std() < 0.5
    low = continuous_bound(known_bytes, x0, Cond(), draw=draw(30), high=4.0, levels=32)
    assert bits(low.nats - truth, 128).mean() > 0.3  # there the decoder, which knows nothing of LOG_P, decides


def test_a_video_and_a_flat_vector_of_the_same_numbers_have_the_same_bound():
    x0, _ = some_bytes(3, 24)
    flat, video = (
        continuous_bound(known_bytes, x, Cond(), draw=draw(3), levels=8) for x in (x0, x0.reshape(3, 1, 2, 3, 4))
    )
    torch.testing.assert_close(flat, video)


def test_a_sample_has_the_same_bound_alone_and_in_a_batch():
    x0 = AR1.draw(4)
    together = continuous_bound(AR1, x0, Cond(), draw=draw(4), levels=8, decoder=density_from_z)
    for i in range(4):
        alone = continuous_bound(AR1, x0[i : i + 1], Cond(), draw=Draw(0, (i,)), levels=8, decoder=density_from_z)
        torch.testing.assert_close(alone.nats[0], together.nats[i], rtol=1e-9, atol=1e-9)


def test_places_are_even_and_without_bias():
    u = torch.rand(200, dtype=F64, generator=torch.Generator().manual_seed(0))
    for levels in (1, 2, 7, 32):
        places = spread(u, levels)
        assert torch.equal((places * levels).floor(), torch.arange(levels, dtype=F64)[:, None].expand(levels, 200))
    torch.testing.assert_close((3 * spread(u, 8)).mean(0), torch.full((200,), 1.5, dtype=F64))  # linear: exactly
    error = [(spread(u, levels).exp().mean(0) - (math.e - 1)).abs().max().item() for levels in (16, 32, 64)]
    assert error[0] > 3.5 * error[1] > 12 * error[2]


def exact_steps(data, x0, table, gamma):
    """L_T + sum of L_(t-1), from the means and variances of the two distributions of each step."""
    bar = table.sigmoid()
    beta = 1 - bar[1:] / bar[:-1]
    small = beta * (1 - bar[:-1]) / (1 - bar[1:])
    v = small ** (1 - gamma) * beta**gamma
    slope = bar[:-1].sqrt() * beta / (1 - bar[1:])  # of the mean in x0 (Ho et al. 2020, eq. 7)
    apart = (slope**2 / (2 * v))[:, None] * error_left(data, table[1:], x0)
    wider = (x0.shape[1] / 2 * ((v / small).log() - 1 + small / v))[:, None]
    return prior_kl(x0, float(table[-1])) + (apart + wider).sum(0)


def exact_decoder(data, x0, table):
    v = renewed(table[1], table[0]) * sigma(table[0]) ** 2
    return error_left(data, table[:1], x0)[0] / (2 * v) + x0.shape[1] / 2 * (2 * math.pi * v).log()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("levels", [None, 20])
def test_the_bound_of_a_chain_is_that_of_its_steps(gamma, levels):
    """All of its steps, or some of them, are the same but for noise."""
    table, x0 = LinearBeta(steps=60).table, AR1.draw(150, torch.Generator().manual_seed(2))
    options = {"table": table, "gamma": gamma, "levels": levels, "decoder": density_about}
    bound = discrete_bound(AR1, x0, Cond(), draw=draw(150), **options)
    off = bound.prior + bound.diffusion - exact_steps(AR1, x0, table, gamma)
    assert off.mean().abs() < 4 * off.std() / math.sqrt(150)
    assert 0.6 < bound.error.square().mean().sqrt() / off.std() < 1.5
    off = bound.reconstruction - exact_decoder(AR1, x0, table)
    assert off.mean().abs() < 4 * off.std() / math.sqrt(150)


@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_more_steps_are_a_better_chain(gamma):
    """Each chain has every second level of the next; all end at the same two. In the limit stands continuous time."""
    x0 = AR1.draw(20, torch.Generator().manual_seed(3))
    tables = [torch.linspace(9, -20, 2**i + 1, dtype=F64) for i in range(3, 11)]
    bounds = [exact_steps(AR1, x0, table, gamma) for table in tables]
    limit = exact_bound(AR1, x0, -20.0, 9.0) - density_from_z(x0, 9.0)
    assert all((coarse > fine).all() for coarse, fine in pairwise([*bounds, limit]))
    torch.testing.assert_close(bounds[-1], limit, rtol=0.03, atol=0)


@pytest.mark.parametrize("schedule", [LinearBeta, CosineBeta])
def test_a_chain_lies_above_the_likelihood(schedule):
    x0 = AR1.draw(20, torch.Generator().manual_seed(3))
    for T, gamma in itertools.product((4, 16, 64, 256, 1000), (0.0, 0.3, 1.0)):
        table = schedule(steps=T).table
        bound = exact_steps(AR1, x0, table, gamma) + exact_decoder(AR1, x0, table)
        assert (bound + AR1.log_density(x0)).mean() > 0


def test_the_chain_reads_bytes():
    x0, truth = some_bytes(20, 64)
    bound = discrete_bound(known_bytes, x0, Cond(), draw=draw(20), table=LinearBeta().table, levels=64)
    gap = bits(bound.nats - truth, 64)
    assert 0.3 < gap.mean() < 1.2  # its first level, 9.2, does not part bytes that are 2 / 255 apart


def test_in_float32_the_bound_is_the_same():
    x0 = AR1.draw(50, torch.Generator().manual_seed(4))
    options = {"draw": draw(50), "high": 13.0, "levels": 16, "decoder": density_from_z}
    single, double = (continuous_bound(AR1, x, Cond(), **options) for x in (x0.float(), x0))
    torch.testing.assert_close(single.nats, double.nats, rtol=0, atol=0.02)
    assert single.nats.dtype == F64


@pytest.mark.parametrize(
    ("options", "words"),
    [({"levels": 0}, "levels=0"), ({"low": 3.0, "high": 1.0}, "low=3.0"), ({"low": 1.0, "high": 1.0}, "high=1.0")],
)
def test_options_of_the_continuous_bound(options, words):
    with pytest.raises(ValueError, match=words) as caught:
        continuous_bound(AR1, AR1.draw(1), Cond(), draw=draw(1), decoder=density_from_z, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"levels": 0}, {"levels": 1000}, {"gamma": 1.5}, {"gamma": -0.1}])
def test_options_of_the_chain(options):
    (name, value), *_ = options.items()
    with pytest.raises(ValueError, match=f"{name}={value}"):
        discrete_bound(AR1, AR1.draw(1), Cond(), draw=draw(1), table=LinearBeta().table, **options)


def test_one_draw_has_one_bound_and_another_seed_another():
    x0 = AR1.draw(2)
    low = float(Cosine()(torch.tensor(1.0)))
    one, same, other = (
        continuous_bound(AR1, x0, Cond(), draw=draw(2, seed), low=low, levels=4, decoder=density_from_z).nats
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)
