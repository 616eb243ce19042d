"""q(z | x0), q(z_s | z_t) and q(z_s | z_t, x0) against the textbook's form in betas, and their limits."""

import math

import pytest
import torch

from filmgrain.diffusion.process import alpha, alpha_sigma, diffuse, posterior_mean, renewed, sigma
from filmgrain.diffusion.tables import LinearBeta

F64 = torch.float64
LOGSNR = torch.linspace(-20, 20, 81, dtype=F64)


def test_variance_is_preserved():
    torch.testing.assert_close(alpha(LOGSNR) ** 2 + sigma(LOGSNR) ** 2, torch.ones_like(LOGSNR), rtol=0, atol=1e-15)


def test_logsnr_is_the_log_of_the_ratio():
    torch.testing.assert_close(2 * (alpha(LOGSNR) / sigma(LOGSNR)).log(), LOGSNR, rtol=0, atol=1e-12)


def test_infinite_logsnr_is_the_data_itself():
    assert alpha(torch.tensor(math.inf)) == 1 and sigma(torch.tensor(math.inf)) == 0
    x0, eps = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    assert torch.equal(diffuse(x0, eps, torch.full((2,), math.inf)), x0)


def test_alpha_and_sigma_multiply_each_sample_by_its_own():
    x0, eps, logsnr = torch.randn(3, 2, 4, 5, 6), torch.randn(3, 2, 4, 5, 6), torch.tensor([-3.0, 0.0, 5.0])
    a, s = alpha_sigma(logsnr, x0)
    assert a.shape == s.shape == (3, 1, 1, 1, 1)
    for i in range(3):
        torch.testing.assert_close(diffuse(x0, eps, logsnr)[i], alpha(logsnr[i]) * x0[i] + sigma(logsnr[i]) * eps[i])


class Textbook:
    """The quantities of DDPM, from beta alone (Ho et al. 2020, sec. 2); index 0 is the paper's t = 1."""

    beta = torch.linspace(1e-4, 0.02, 1000, dtype=F64)
    alpha_bar = (1 - beta).cumprod(0)
    before = torch.cat([torch.ones(1, dtype=F64), alpha_bar[:-1]])  # alpha_bar of the step nearer to the data
    of_x0 = before.sqrt() * beta / (1 - alpha_bar)
    of_z = (1 - beta).sqrt() * (1 - before) / (1 - alpha_bar)
    beta_tilde = (1 - before) / (1 - alpha_bar) * beta


def levels():
    """Each level t of the table and the level s before it; the first step comes from the data, +inf."""
    table = LinearBeta().table
    return table, torch.cat([torch.tensor([math.inf], dtype=F64), table[:-1]])


def test_diffuse_is_ddpm_equation_4():
    table, _ = levels()
    x0, eps = torch.randn(1000, 2, dtype=F64), torch.randn(1000, 2, dtype=F64)
    textbook = Textbook.alpha_bar.sqrt()[:, None] * x0 + (1 - Textbook.alpha_bar).sqrt()[:, None] * eps
    torch.testing.assert_close(diffuse(x0, eps, table), textbook, rtol=0, atol=1e-12)


def test_posterior_mean_is_ddpm_equation_7():
    one, zero = torch.ones(1, 1, dtype=F64), torch.zeros(1, 1, dtype=F64)
    pairs = list(zip(*levels(), strict=True))
    of_x0 = torch.cat([posterior_mean(zero, one, t, s) for t, s in pairs])[:, 0]
    of_z = torch.cat([posterior_mean(one, zero, t, s) for t, s in pairs])[:, 0]
    torch.testing.assert_close(of_x0, Textbook.of_x0, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(of_z, Textbook.of_z, rtol=1e-9, atol=1e-12)


def test_posterior_mean_has_alpha_t_and_not_alpha_bar_t_in_its_second_coefficient():
    """Mistake 3: the square root of alpha_bar_t where that of alpha_t belongs."""
    t, s = levels()[0][500], levels()[0][499]
    mistaken = Textbook.alpha_bar[500].sqrt() * (1 - Textbook.before[500]) / (1 - Textbook.alpha_bar[500])
    ours = posterior_mean(torch.ones(1, 1, dtype=F64), torch.zeros(1, 1, dtype=F64), t, s).item()
    assert ours == pytest.approx(Textbook.of_z[500].item(), rel=1e-10)
    assert abs(ours - mistaken.item()) > 0.1


def test_both_variances_of_a_step_are_beta_and_beta_tilde():
    t, s = levels()
    torch.testing.assert_close(renewed(t, s) * sigma(t) ** 2, Textbook.beta, rtol=1e-9, atol=0)
    torch.testing.assert_close(renewed(t, s) * sigma(s) ** 2, Textbook.beta_tilde, rtol=1e-9, atol=1e-18)
    assert Textbook.beta_tilde[1].item() == pytest.approx(5.4531877e-5, rel=1e-7)


def test_steps_compose_and_bayes_rule_holds():
    """q(z_t | z_s) after q(z_s | x0) is q(z_t | x0); 1 / var(z_s | z_t, x0) is the sum of the two precisions."""
    s, t = torch.tensor([-1.0, 3.0, 7.0], dtype=F64), torch.tensor([-8.0, -0.5, 6.9], dtype=F64)
    shrink, added = alpha(t) / alpha(s), renewed(t, s) * sigma(t) ** 2
    torch.testing.assert_close(shrink**2 * sigma(s) ** 2 + added, sigma(t) ** 2, rtol=1e-12, atol=0)
    precision = 1 / sigma(s) ** 2 + shrink**2 / added
    torch.testing.assert_close(1 / (renewed(t, s) * sigma(s) ** 2), precision, rtol=1e-10, atol=0)


def test_posterior_mean_is_finite_at_both_ends():
    z, x0 = torch.randn(2, 3), torch.randn(2, 3)
    t, s = torch.tensor(1.5), torch.tensor(math.inf)
    assert torch.equal(posterior_mean(z, x0, t, s), x0)
    noise, s = torch.tensor(-math.inf), torch.tensor(-3.0)  # a schedule whose last level has no signal at all
    torch.testing.assert_close(posterior_mean(z, x0, noise, s), alpha(s) * x0)
