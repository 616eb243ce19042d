"""The four predictions: round trips, the factors k of their errors, and what EDM and rectified flow are in them."""

import pytest
import torch

from filmgrain.diffusion.prediction import FLOW, PREDICTIONS, V
from filmgrain.diffusion.process import alpha_sigma
from filmgrain.diffusion.schedules import Flow

F64 = torch.float64
LOGSNR = torch.linspace(-15, 15, 61, dtype=F64)
names = pytest.mark.parametrize("name", PREDICTIONS)


def noisy(seed=0):
    """x0, eps, alpha, sigma and z at each level of LOGSNR."""
    rng = torch.Generator().manual_seed(seed)
    x0, eps = (torch.randn(len(LOGSNR), 3, 4, generator=rng, dtype=F64) for _ in range(2))
    a, s = alpha_sigma(LOGSNR, x0)
    return x0, eps, a, s, a * x0 + s * eps


@names
def test_the_target_gives_x0_back(name):
    x0, eps, a, s, z = noisy()
    prediction = PREDICTIONS[name]
    found = prediction.to_x0(prediction.target(x0, eps, a, s), z, a, s)
    torch.testing.assert_close(found, x0, rtol=0, atol=1e-6)


@names
def test_k_is_the_ratio_of_the_errors(name):
    x0, eps, a, s, z = noisy()
    prediction = PREDICTIONS[name]
    exact = prediction.target(x0, eps, a, s)
    F = exact + torch.randn_like(exact)
    error_of_F = (F - exact).square().flatten(1).sum(1)
    error_of_x0 = (x0 - prediction.to_x0(F, z, a, s)).square().flatten(1).sum(1)
    torch.testing.assert_close(error_of_F / error_of_x0, prediction.k(LOGSNR), rtol=1e-5, atol=0)


def test_v_is_alpha_eps_minus_sigma_x0():
    """Mistake 1: v as sqrt(alpha / (1 - alpha)) x + ... . It is the point a quarter turn ahead on the circle of z."""
    x0, eps, a, s, z = noisy()
    v = V.target(x0, eps, a, s)
    torch.testing.assert_close(v, a * eps - s * x0)
    torch.testing.assert_close(z**2 + v**2, x0**2 + eps**2)


def test_edm_preconditioning_is_v_with_the_sign_flipped():
    """Karras et al. 2022, sigma_data = 1, for noisy data y = z / alpha at noise r = sigma / alpha."""
    x0, eps, a, s, z = noisy()
    y, r = z / a, s / a
    c_skip, c_out, c_in = 1 / (r**2 + 1), r / (r**2 + 1).sqrt(), 1 / (r**2 + 1).sqrt()
    torch.testing.assert_close(c_in * y, z)  # the network is given the same input
    F = torch.randn_like(z)
    torch.testing.assert_close(c_skip * y + c_out * F, V.to_x0(-F, z, a, s))
    target = (x0 - c_skip * y) / c_out
    torch.testing.assert_close(target, -V.target(x0, eps, a, s), rtol=1e-6, atol=1e-6)
    weight = ((r**2 + 1) / r**2).flatten()  # EDM's loss weight is k: no factor on F
    torch.testing.assert_close(weight, V.k(LOGSNR))


def test_rectified_flow_is_a_change_of_variable():
    """y = z / (alpha + sigma) is the straight line (1 - t) x0 + t eps at t = sigma / (alpha + sigma)."""
    x0, eps, a, s, z = noisy()
    y, t = z / (a + s), s / (a + s)
    torch.testing.assert_close(y, (1 - t) * x0 + t * eps)
    u = FLOW.target(x0, eps, a, s)
    torch.testing.assert_close(u, eps - x0)
    torch.testing.assert_close(y - t * u, FLOW.to_x0(u, z, a, s), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(Flow()(t.flatten()), LOGSNR)


def test_eulers_step_along_the_flow_is_a_step_of_ddim():
    *_, a, s, z = noisy()
    nearer = LOGSNR + 2.5
    a2, s2 = alpha_sigma(nearer, z)
    F = torch.randn_like(z)
    found = FLOW.to_x0(F, z, a, s)
    ddim = a2 * found + s2 * (z - a * found) / s
    euler = z / (a + s) + (s2 / (a2 + s2) - s / (a + s)) * F
    torch.testing.assert_close(ddim / (a2 + s2), euler, rtol=1e-6, atol=1e-6)
