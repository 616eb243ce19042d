"""Known values put into x0, and what samplers make of them."""

import math
from itertools import pairwise

import pytest
import torch
from guided_toys import Toy, batch

from filmgrain.analytic.gaussian import Gaussian
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.process import alpha, posterior_mean, renewed, sigma
from filmgrain.guidance.known import Known
from filmgrain.samplers import ancestral, ddim, last

F64 = torch.float64


@pytest.mark.parametrize("shape", [(2, 3, 2, 4, 6), (1, 3, 1, 4, 6), (2, 1, 1), ()])
def test_known_and_mask_broadcast_to_x0(shape):
    toy, given = Toy(), batch()
    mask, known = torch.rand(2, 1, 1, 4, 6) < 0.5, torch.randn(shape)
    x0 = Known(toy, known, mask)(*given)
    assert torch.equal(x0, torch.where(mask, known, toy(*given)))
    assert torch.equal(Known(toy, known, torch.tensor(False))(*given), toy(*given))


@pytest.mark.parametrize("shape", [(3, 3, 2, 4, 6), (2, 4), (1, 2, 3, 2, 4, 6)])
def test_what_does_not_broadcast_is_refused(shape):
    fits = torch.zeros(2, 3, 2, 4, 6)
    for known, mask, what in (
        (torch.zeros(shape), fits.bool(), "known values are"),
        (fits, torch.zeros(shape).bool(), "mask"),
    ):
        with pytest.raises(ValueError, match=what) as caught:
            Known(Toy(), known, mask)(*batch())
        assert "\n" not in str(caught.value)


def test_each_ancestral_step_keeps_the_law_of_what_is_known():
    """With gamma = 0, z_t ~ q(z_t | x) becomes z_s ~ q(z_s | x): mean alpha_s x and variance sigma_s^2, as algebra."""
    levels, one, zero = (
        torch.linspace(-12, 12, 13, dtype=F64),
        torch.ones(1, 1, dtype=F64),
        torch.zeros(1, 1, dtype=F64),
    )
    for t, s in pairwise(levels):
        keep, of_x0 = posterior_mean(one, zero, t, s), posterior_mean(zero, one, t, s)
        torch.testing.assert_close((keep * alpha(t) + of_x0)[0, 0], alpha(s), rtol=1e-12, atol=0)
        variance = keep**2 * sigma(t) ** 2 + renewed(t, s) * sigma(s) ** 2
        torch.testing.assert_close(variance[0, 0], sigma(s) ** 2, rtol=1e-10, atol=0)


@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_the_sampler_carries_what_is_known_along_q(gamma):
    """The moments of the known part at every level, over 20,000 walks; gamma = 1 has too much variance."""
    count, known, mask = 20_000, torch.tensor([0.7, -0.4], dtype=F64), torch.tensor([True, False])
    data = Gaussian(torch.zeros(2, dtype=F64), torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=F64))
    rng = torch.Generator().manual_seed(0)

    def noise(step, like):
        return torch.randn(like.shape, generator=rng, dtype=like.dtype)

    levels = torch.tensor([-9.0, -4.0, -1.5, 0.0, 2.0, 5.0, math.inf], dtype=F64)
    z = alpha(levels[0]) * known + sigma(levels[0]) * noise(0, torch.empty(count, 2, dtype=F64))
    ratios = []
    for step in ancestral.sample(Known(data, known, mask), z, levels, Cond(), noise=noise, gamma=gamma):
        s = sigma(step.logsnr).item()
        part = step.z[:, 0]
        if s > 0:
            if gamma == 0:
                assert part.mean().item() == pytest.approx(alpha(step.logsnr).item() * 0.7, abs=4.5 * s / count**0.5)
            ratios.append(part.var().item() / s**2)
    assert part.eq(0.7).all()
    if gamma == 0:
        assert ratios == pytest.approx([1.0] * 5, rel=4.5 * (2 / count) ** 0.5)
    else:
        assert max(ratios) > 1.3


@pytest.mark.parametrize("sampler", [ancestral, ddim])
def test_the_end_has_the_known_values_to_the_bit(sampler):
    known, mask = torch.randn(2, 3, 2, 4, 6), torch.rand(3, 2, 4, 6) < 0.5
    z, _, cond = batch()
    levels = torch.tensor([-5.0, 0.0, 4.0, math.inf])
    end = last(
        sampler.sample(Known(Toy(), known, mask), z, levels, cond, noise=lambda step, like: torch.ones_like(like))
    )
    assert torch.equal(end[:, mask], known[:, mask])
