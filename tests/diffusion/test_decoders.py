"""The last step of a likelihood: probabilities that sum to one, expectations against brute force, units."""

import math

import pytest
import torch

from filmgrain.diffusion import decoders
from filmgrain.diffusion.decoders import APART, bits, bytes_about, bytes_from_z, density_about, density_from_z, to_bytes
from filmgrain.diffusion.process import alpha, diffuse
from filmgrain.kernels.pixels import plain

F64 = torch.float64
VALUES = torch.arange(256, dtype=F64) * APART - 1  # of x0, all that a byte can have


def test_bytes_come_back_from_the_range_of_the_model():
    """As the loader makes them, in float32."""
    loaded = plain(torch.arange(256, dtype=torch.uint8)[None])
    assert torch.equal(to_bytes(loaded), torch.arange(256)[None])


@pytest.mark.parametrize("x0", [0.5 * APART, 1 + APART, -1 - APART, math.nan])
def test_what_are_no_bytes_is_refused(x0):
    with pytest.raises(ValueError, match="8-bit data"):
        to_bytes(torch.tensor([[0.0 + 1 - 255 * APART / 2, x0]]))


@pytest.mark.parametrize(("mean", "deviation"), [(0.1, 0.3), (0.1, 0.002), (-1.0, 0.01), (3.0, 0.05), (0.003, 1e-4)])
def test_the_bytes_about_a_mean_are_a_distribution(mean, deviation):
    x0 = VALUES[:, None]
    nats = bytes_about(x0, torch.full_like(x0, mean), deviation)
    assert nats.isfinite().all() and (nats >= 0).all()
    assert float((-nats).exp().sum()) == pytest.approx(1, abs=1e-9)


def test_the_bytes_about_a_mean_are_the_normal_distribution_between_the_edges():
    mean, deviation = torch.tensor([[0.013, -0.2, 0.4]], dtype=F64), 0.03
    x0 = VALUES[[129, 105, 177]][None]
    edges = torch.stack([x0 - APART / 2, x0 + APART / 2])
    below, above = (1 + torch.erf((edges - mean) / deviation / math.sqrt(2))) / 2
    torch.testing.assert_close(bytes_about(x0, mean, deviation), -(above - below).log().sum(1))


def test_far_from_the_mean_a_byte_costs_what_the_tail_says():
    """Differences of the distribution function are 0 there, in any precision: -log would be inf."""
    x0, mean = VALUES[[0, 255]][:, None], torch.tensor([[1.0], [-1.0]], dtype=F64)
    edge = (2 - APART / 2) / 0.01
    expected = edge**2 / 2 + math.log(edge) + math.log(2 * math.pi) / 2
    torch.testing.assert_close(bytes_about(x0, mean, 0.01), torch.full((2,), expected, dtype=F64), rtol=1e-6, atol=0)


@pytest.mark.parametrize("logsnr", [2.0, 9.0, 11.5, 13.0])
def test_the_uncertainty_of_bytes_against_drawn_noise(logsnr):
    x0 = VALUES[[0, 1, 90, 254, 255]].expand(10_000, 5)
    eps = torch.randn(x0.shape, dtype=F64, generator=torch.Generator().manual_seed(0))
    y = x0 + math.exp(-logsnr / 2) * eps
    terms = -torch.stack([-((y - value) ** 2) * math.exp(logsnr) / 2 for value in VALUES]).log_softmax(0)
    drawn = torch.stack([terms[byte, :, i] for i, byte in enumerate((0, 1, 90, 254, 255))])
    exact = torch.stack([bytes_from_z(x0[:1, i : i + 1], logsnr)[0] for i in range(5)])
    assert ((drawn.mean(1) - exact).abs() <= 4.5 * drawn.std(1) / 100 + 1e-12).all()


def test_bytes_are_open_in_noise_and_certain_near_the_data():
    x0 = VALUES[None]
    assert float(bits(bytes_from_z(x0, -12.0), 256)) == pytest.approx(8, abs=1e-4)
    assert float(bits(bytes_from_z(x0, 13.0), 256)) == pytest.approx(0.0365, abs=2e-4)
    assert float(bytes_from_z(x0, 20.0)) == 0


def test_the_density_from_z_is_the_mean_of_its_logarithm():
    x0 = torch.randn(1, 50, dtype=F64).expand(4000, 50)
    z = diffuse(x0, torch.randn(4000, 50, dtype=F64), torch.full((4000,), 4.0, dtype=F64))
    drawn = -torch.distributions.Normal(z / alpha(torch.tensor(4.0)), math.exp(-2.0)).log_prob(x0).sum(1)
    assert (drawn.mean() - density_from_z(x0[:1], 4.0)).abs() < 4.5 * drawn.std() / math.sqrt(4000)


def test_the_density_about_a_mean():
    x0, mean = torch.randn(2, 3, 2, 2, dtype=F64), torch.randn(2, 3, 2, 2, dtype=F64)
    expected = -torch.distributions.Normal(mean, 0.3).log_prob(x0).flatten(1).sum(1)
    torch.testing.assert_close(density_about(x0, mean, 0.3), expected)


def test_a_density_even_over_all_bins_is_eight_bits():
    """The change of variables: of x0 in [-1, 1] to bytes, log2(127.5) bits an element."""
    nats = torch.tensor([7 * math.log(256 * APART)], dtype=F64)  # 7 elements, each even over 256 bins
    assert float(bits(nats, 7)) + math.log2(127.5) == pytest.approx(8, abs=1e-12)
    assert -math.log2(decoders.APART) == pytest.approx(math.log2(127.5))
