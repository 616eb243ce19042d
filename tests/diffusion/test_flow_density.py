"""The density that the flow carries, against densities and probabilities known in closed form."""

import math

import pytest
import torch
from test_variational_bound import F64, known_bytes, some_bytes

from filmgrain.analytic.gaussian import Gaussian
from filmgrain.analytic.mixture import Mixture
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.decoders import bits
from filmgrain.diffusion.draw import Draw
from filmgrain.diffusion.flow_density import bytes_by_noise, bytes_by_uniform, log_density
from filmgrain.diffusion.process import alpha, diffuse

AR1 = Gaussian.ar1(16, 0.95)


class AllSigns(Draw):
    """Probes that are the columns of a Hadamard matrix, as many as elements: the mean of v^T J v is the exact trace."""

    def normal(self, purpose, like):
        if not purpose.startswith("probe "):
            return super().normal(purpose, like)
        columns = torch.ones(1, 1)
        while len(columns) < like[0].numel():
            columns = torch.cat([torch.cat([columns, columns], 1), torch.cat([columns, -columns], 1)])
        return columns[int(purpose.split()[1])].to(like).expand(len(like), -1).reshape(like.shape)


def ids(count):
    return tuple(range(count))


def at(data, level, count, seed=0):
    """Samples of z at a level."""
    x0 = data.draw(count, torch.Generator().manual_seed(seed))
    eps = torch.randn(x0.shape, dtype=F64, generator=torch.Generator().manual_seed(seed + 1))
    return diffuse(x0, eps, torch.full((count,), level, dtype=F64))


@pytest.mark.parametrize("high", [4.0, 13.0])
@pytest.mark.parametrize("mean", [0.0, 0.5])
def test_the_density_of_a_correlated_gaussian(high, mean):
    data = Gaussian(AR1.mean + mean, AR1.covariance)
    z = at(data, high, 10)
    found = log_density(data, z, Cond(), draw=AllSigns(0, ids(10)), high=high, probes=16)
    off = (found.value - data.log_density(z, high)) / 16
    assert off.abs().max() < 2e-4
    if not mean:  # what the ends leave: at logsnr -20 z is not quite N(0, I)
        assert off.abs().max() < 5e-5


@pytest.mark.parametrize("std", [0.05, 0.3, 1.5])
def test_where_elements_are_independent_one_probe_is_exact(std):
    """v^T J v is the trace for a diagonal J, whatever the signs v."""
    data = Gaussian.isotropic(4, 0.3, std)
    z = at(data, 13.0, 10)
    found = log_density(data, z, Cond(), draw=Draw(0, ids(10)), probes=2)
    assert ((found.value - data.log_density(z, 13.0)) / 4).abs().max() < 5e-4
    assert (found.error / 4).max() < 1e-9


def test_the_density_of_a_mixture():
    """Not linear: the trace changes along the path and from sample to sample."""
    data = Mixture(
        weights=torch.tensor([0.3, 0.7], dtype=F64),
        means=torch.tensor([[-1.0, 0.5], [1.0, 0.0]], dtype=F64),
        stds=torch.tensor([0.2, 0.5], dtype=F64),
    )
    z = at(data, 6.0, 20)
    found = log_density(data, z, Cond(), draw=AllSigns(0, ids(20)), high=6.0, probes=2, steps=128)
    assert ((found.value - data.log_density(z, 6.0)) / 2).abs().max() < 1e-3


def test_the_integration_is_of_fourth_order():
    z = at(AR1, 4.0, 10)
    truth = AR1.log_density(z, 4.0)

    def error(steps):
        found = log_density(AR1, z, Cond(), draw=AllSigns(0, ids(10)), high=4.0, low=-30.0, steps=steps, probes=16)
        return (found.value - truth).abs().mean()

    errors = [error(steps) for steps in (24, 48, 96)]
    assert errors[0] > 10 * errors[1] > 100 * errors[2]


def test_probes_have_no_bias_and_their_error_is_known():
    z = at(AR1, 6.0, 1).expand(400, -1)  # one z, 400 draws of probes
    found = log_density(AR1, z, Cond(), draw=Draw(0, ids(400)), high=6.0, steps=24, probes=4)
    exact = log_density(AR1, z[:1], Cond(), draw=AllSigns(0, (0,)), high=6.0, steps=24, probes=16).value
    off = found.value - exact
    assert off.std() > 0.1 and off.mean().abs() < 4 * off.std() / 20
    assert 0.8 < found.error.square().mean().sqrt() / off.std() < 1.2
    assert log_density(AR1, z[:1], Cond(), draw=Draw(0, (0,)), high=6.0, steps=2, probes=1).error.isnan().all()


def test_a_sample_has_the_same_density_alone_and_in_a_batch():
    z = at(AR1, 6.0, 4)
    together = log_density(AR1, z, Cond(), draw=Draw(0, ids(4)), high=6.0, steps=8).value
    for i in range(4):
        alone = log_density(AR1, z[i : i + 1], Cond(), draw=Draw(0, (i,)), high=6.0, steps=8).value
        torch.testing.assert_close(alone[0], together[i], rtol=1e-9, atol=1e-9)


def test_four_calls_a_step_and_no_graph_is_kept():
    calls = []

    def counted(z, logsnr, cond):
        calls.append(logsnr)
        return AR1(z, logsnr, cond)

    z = at(AR1, 6.0, 2)
    with torch.no_grad():  # as in evaluation
        found = log_density(counted, z, Cond(), draw=Draw(0, ids(2)), high=6.0, steps=5, probes=3)
    assert len(calls) == 20 and all(logsnr.shape == (2,) for logsnr in calls)
    assert not found.value.requires_grad and found.value.dtype == F64


def test_bytes_by_the_noise_of_a_level_have_their_probability():
    """The bound is no bound but the truth, where bytes are told apart at the level and the denoiser is the best one."""
    x0, truth = some_bytes(3, 64)
    found = bytes_by_noise(known_bytes, x0, Cond(), draw=Draw(0, ids(3)), high=14.0, steps=128)
    assert bits(-found.value - truth, 64).abs().max() < 2e-3


def test_uniform_dequantisation_is_a_bound_which_falls_short_near_the_data():
    """A model of bytes puts its density on 256 points, more sharply the nearer to the data it is asked."""
    x0, truth = some_bytes(3, 64)
    gaps = []
    for high in (11.0, 13.0):
        found = bytes_by_uniform(known_bytes, x0, Cond(), draw=Draw(0, ids(3)), high=high, steps=96)
        gaps.append(bits(-found.value - truth, 64).mean().item())
    assert 0 < gaps[0] < 0.05 < 0.3 < gaps[1]


def test_uniform_dequantisation_of_a_wide_density():
    """Bytes of a Gaussian much wider than a bin: P(byte) is its density times 2 / 255."""
    data = Gaussian.isotropic(64, 0.0, 0.3)
    x0 = ((data.draw(5, torch.Generator().manual_seed(0)) + 1) * 127.5).round() / 127.5 - 1
    assert x0.abs().max() < 1.2
    x0 = x0.clamp(-1, 1)
    found = bytes_by_uniform(data, x0, Cond(), draw=Draw(0, ids(5)), high=13.0)
    expected = data.log_density(x0) + 64 * math.log(2 / 255)
    assert (bits(found.value - expected, 64)).abs().max() < 5e-3


@pytest.mark.parametrize("options", [{"steps": 0}, {"probes": 0}, {"low": 20.0}])
def test_options_out_of_range(options):
    (name, value), *_ = options.items()
    with pytest.raises(ValueError, match=f"{name}={value}") as caught:
        log_density(AR1, at(AR1, 6.0, 1), Cond(), draw=Draw(0, (0,)), **options)
    assert "\n" not in str(caught.value)


def test_a_denoiser_that_hides_its_gradient_is_refused():
    @torch.no_grad()
    def hidden(z, logsnr, cond):
        return AR1(z, logsnr, cond)

    with pytest.raises(ValueError, match="without a gradient"):
        log_density(hidden, at(AR1, 6.0, 1), Cond(), draw=Draw(0, (0,)), steps=1)


def test_alpha_of_the_flow_is_that_of_the_process():
    level = torch.tensor(0.7, dtype=F64)
    assert math.sqrt(1 / (1 + math.exp(-0.7))) == pytest.approx(float(alpha(level)))
