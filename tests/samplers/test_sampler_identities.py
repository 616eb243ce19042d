"""Samplers against each other and against their papers' own words: what is equal, and one step written out."""

import math
from itertools import pairwise

import pytest
import torch

from filmgrain.diffusion import grids
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.process import alpha, alpha_sigma, sigma
from filmgrain.diffusion.schedules import Cosine
from filmgrain.diffusion.tables import LinearBeta
from filmgrain.samplers import ancestral, ddim, ddpm, dpmpp_2m, dpmpp_2m_sde, dpmpp_3m, edm, euler, heun, unipc

F64 = torch.float64
TO_DATA, SHORT_OF_IT = grids.levels(Cosine(), 12).double(), torch.linspace(-9, 3, 13, dtype=F64)
ends = pytest.mark.parametrize("levels", [TO_DATA, SHORT_OF_IT], ids=["to the data", "short of it"])


def toy(z, logsnr, cond):
    a, _ = alpha_sigma(logsnr, z)
    return torch.tanh(1.5 * a * z + 0.2)


def random(seed=0):
    rng = torch.Generator().manual_seed(seed)
    return lambda step, like: torch.randn(like.shape, generator=rng, dtype=like.dtype)


def zs(sampler, levels, denoiser=toy, **options):
    z = random(7)(0, torch.empty(3, 4, dtype=F64))
    return torch.stack([step.z for step in sampler.sample(denoiser, z, levels, Cond(), **options)])


@ends
@pytest.mark.parametrize(("variance", "gamma"), [("fixedsmall", 0.0), ("fixedlarge", 1.0)])
def test_ddpm_is_ancestral_sampling_at_the_ends_of_gamma(levels, variance, gamma):
    ours = zs(ddpm, levels, noise=random(), variance=variance)
    torch.testing.assert_close(ours, zs(ancestral, levels, noise=random(), gamma=gamma))


@ends
def test_euler_is_ddim(levels):
    """In y = z / alpha, r = sigma / alpha; so is Euler's step along the straight line of rectified flow."""
    torch.testing.assert_close(zs(euler, levels), zs(ddim, levels), rtol=0, atol=1e-9)
    for t, s in pairwise(levels[:-1]):
        z = torch.randn(3, 4, dtype=F64)
        x0 = toy(z, t.expand(3), Cond())
        (step,) = euler.sample(toy, z, torch.stack([t, s]), Cond())
        tau, tau_s = (sigma(level) / (alpha(level) + sigma(level)) for level in (t, s))
        y = z / (alpha(t) + sigma(t))
        y = y + (tau_s - tau) * (y - x0) / tau  # the velocity eps - x0
        torch.testing.assert_close(step.z, y * (alpha(s) + sigma(s)), rtol=1e-9, atol=1e-9)


@ends
def test_without_churn_edm_is_heun(levels):
    torch.testing.assert_close(zs(edm, levels, noise=None, s_churn=0.0), zs(heun, levels))
    out_of_range = zs(edm, levels, noise=None, s_min=1e9, s_max=1e9)
    torch.testing.assert_close(out_of_range, zs(heun, levels))


@ends
def test_without_noise_the_sde_solver_is_dpmpp_2m(levels):
    torch.testing.assert_close(zs(dpmpp_2m_sde, levels, noise=random(), eta=0.0), zs(dpmpp_2m, levels))


@ends
def test_where_x0_stands_still_all_are_exact(levels):
    """Then z_s = alpha_s x0 + (sigma_s / sigma_t) (z_t - alpha_t x0) from any level to any other."""
    x0 = torch.linspace(-1, 1, 12, dtype=F64).reshape(3, 4)
    for sampler in (ddim, euler, heun, dpmpp_2m, dpmpp_3m, unipc):
        torch.testing.assert_close(
            zs(sampler, levels, lambda z, logsnr, cond: x0), zs(ddim, levels, lambda z, logsnr, cond: x0)
        )


def polynomial(*coefficients):
    """x0 as a polynomial in u = logsnr / 2, whatever z."""
    return lambda z, logsnr, cond: sum(c * (logsnr[0] / 2) ** k for k, c in enumerate(coefficients)).expand(z.shape)


def exact_step(z, t, s, *coefficients):
    """z_s = (sigma_s / sigma_t) z_t + sigma_s int e^u x0(u) du, the integral by Simpson's rule."""
    u = torch.linspace(t / 2, s / 2, 2001, dtype=F64)
    values = u.exp() * sum(c * u**k for k, c in enumerate(coefficients))
    simpson = (values[0] + values[-1] + 4 * values[1::2].sum() + 2 * values[2:-1:2].sum()) * (u[1] - u[0]) / 3
    return sigma(s) / sigma(t) * z + sigma(s) * simpson


UNEVEN = torch.tensor([-6.0, -5.0, -2.9, -1.2, -0.4, 1.6, 2.5], dtype=F64)


@pytest.mark.parametrize(
    ("options", "coefficients", "from_step"),
    [({"published": True}, (0.3, -0.5), 1), ({}, (0.3, -0.5, 0.8), 2)],
)
def test_3m_is_exact_for_a_parabola(options, coefficients, from_step):
    """From the step on where enough is known; in the published form for a line only."""
    z = zs(dpmpp_3m, UNEVEN, polynomial(*coefficients), **options)
    for i in range(from_step, len(z)):
        torch.testing.assert_close(z[i], exact_step(z[i - 1], *UNEVEN[i : i + 2], *coefficients), rtol=1e-9, atol=1e-9)


def test_3m_makes_its_first_step_again_when_it_knows_the_far_end():
    """So that for a line all but the first z is exact."""
    z = random(7)(0, torch.empty(3, 4, dtype=F64))
    for i, (walked, (t, s)) in enumerate(
        zip(zs(dpmpp_3m, UNEVEN, polynomial(0.3, -0.5)), pairwise(UNEVEN), strict=True)
    ):
        z = exact_step(z, t, s, 0.3, -0.5)
        assert ((walked - z).abs().max() < 1e-9) == (i > 0)


@pytest.mark.parametrize("points", [3, 4])
def test_a_step_of_unipc_is_exact_for_a_polynomial_through_its_points(points):
    """The predictor's, from earlier levels, and the corrector's, with the new one."""
    coefficients, z = (0.3, -0.5, 0.8, 0.2)[:points], torch.randn(3, 4, dtype=F64)
    denoiser, t, s = polynomial(*coefficients), UNEVEN[3], UNEVEN[4]
    known = [(level / 2, denoiser(z, torch.tensor([level]), Cond())) for level in UNEVEN[:5].tolist()[::-1]]
    exact = exact_step(z, t, s, *coefficients)
    for others in (known[2 : points + 1], [*known[2:points], known[0]]):
        found = unipc.step(z, s.item() / 2, [known[1], *others], "bh2")
        torch.testing.assert_close(found, exact, rtol=1e-7, atol=1e-7)  # float32 levels in the polynomial


def test_a_step_of_3m_in_the_published_form():
    """Half of what the parabola's second difference is due: the difference between both is the other half."""
    denoiser = polynomial(0.3, -0.5, 0.8)
    t, s = UNEVEN[2:4]
    ours, theirs = (zs(dpmpp_3m, UNEVEN[:4], denoiser, published=published) for published in (False, True))
    h = (s - t) / 2
    due = alpha(s) * -2 * ((torch.expm1(-h) + h) / h**2 - 0.5) * 0.8 * h**2
    carried = sigma(s) / sigma(t) * (ours[1] - theirs[1])
    torch.testing.assert_close(ours[2] - theirs[2] - carried, (due / 2).expand(3, 4), rtol=1e-9, atol=1e-9)


def test_unipc_in_its_own_words():
    """UniP-2 is dpmpp_2m with B(h) = e^h - 1; UniC-1 after ddim is Heun's method in exponential form, x0 the mean."""
    t_1, t, s = UNEVEN[1:4].tolist()
    z, x0, x0_1, x0_s = torch.randn(4, 3, 4, dtype=F64)
    a, sg = (of(torch.tensor([t, s], dtype=F64)).tolist() for of in (alpha, sigma))
    h, r = (s - t) / 2, (t_1 - t) / (s - t)
    keep, gain = sg[1] / sg[0] * z - a[1] * math.expm1(-h) * x0, {"bh1": h, "bh2": -math.expm1(-h)}
    for variant, b in gain.items():
        predicted = unipc.step(z, s / 2, [(t / 2, x0), (t_1 / 2, x0_1)], variant)
        torch.testing.assert_close(predicted, keep + a[1] * b / 2 * (x0_1 - x0) / r)
        corrected = unipc.step(z, s / 2, [(t / 2, x0), (s / 2, x0_s)], variant)
        torch.testing.assert_close(corrected, keep + a[1] * b / 2 * (x0_s - x0))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_unipc_has_one_new_estimate_a_step_and_corrects_with_it(order):
    """The walk, from its own pieces."""
    z, known, before = random(7)(0, torch.empty(3, 4, dtype=F64)), [], None
    for i, (level, walked) in enumerate(zip(UNEVEN.tolist(), zs(unipc, UNEVEN, order=order), strict=False)):
        x0 = toy(z, torch.full((3,), level, dtype=F64), Cond())
        if i:
            z = unipc.step(before, level / 2, [*known[:order], (level / 2, x0)], "bh2")
        known, before = [(level / 2, x0), *known], z
        z = unipc.step(z, UNEVEN[i + 1].item() / 2, known[:order], "bh2")
        torch.testing.assert_close(walked, z)
    torch.testing.assert_close(zs(unipc, UNEVEN, order=float(order)), zs(unipc, UNEVEN, order=order))  # of a recipe


@pytest.mark.parametrize("variance", ["fixedsmall", "fixedlarge"])
def test_the_chain_of_a_table_is_algorithm_2(variance):
    """Ho et al. 2020: all T steps in the paper's own terms, beta and alpha_bar, from an eps that depends on z."""
    schedule = LinearBeta(steps=40)
    beta = torch.linspace(1e-4, 0.02, 40, dtype=F64) * 1000 / 40
    bar = (1 - beta).cumprod(0)
    levels = torch.cat([schedule.table.flip(0), torch.tensor([math.inf], dtype=F64)])
    assert torch.equal(grids.levels(schedule, 40, "table").double()[:-1], levels[:-1].float().double())

    def eps_hat(x, t):
        return torch.tanh(x + bar[t])

    def denoiser(z, logsnr, cond):
        t = int((schedule.table - logsnr[0]).abs().argmin())
        return (z - (1 - bar[t]).sqrt() * eps_hat(z, t)) / bar[t].sqrt()

    drawn = random(1)
    x = random(7)(0, torch.empty(3, 4, dtype=F64))
    for t, ours in zip(range(39, -1, -1), zs(ddpm, levels, denoiser, noise=random(1), variance=variance), strict=True):
        noise = drawn(t, x) if t > 0 else torch.zeros_like(x)
        small = beta[t] * (1 - bar[t - 1]) / (1 - bar[t]) if t > 0 else torch.tensor(0.0)
        deviation = (small if variance == "fixedsmall" else beta[t]).sqrt()
        x = (x - beta[t] / (1 - bar[t]).sqrt() * eps_hat(x, t)) / (1 - beta[t]).sqrt() + deviation * noise
        torch.testing.assert_close(ours, x, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("eta", [0.25, 0.5, 1.0])
def test_a_step_of_the_sde_solver(eta):
    """Lu et al. 2022 at eta = 1, ancestral sampling with gamma = 0; below, the reverse SDE with eta times its noise."""
    t, s = levels = torch.tensor([-2.0, 1.0], dtype=F64)
    z, eps = torch.randn(2, 3, 4, dtype=F64)
    (ours,) = dpmpp_2m_sde.sample(toy, z, levels, Cond(), noise=lambda step, like: eps, eta=eta)
    decay = ((t - s) / 2 * eta**2).exp()  # e^-k, k = eta^2 h
    kept = sigma(s) / sigma(t) * decay * z + alpha(s) * (1 - ((t - s) / 2).exp() * decay) * ours.x0
    torch.testing.assert_close(ours.z, kept + sigma(s) * (1 - decay**2).sqrt() * eps)
    if eta == 1:
        (same,) = ancestral.sample(toy, z, levels, Cond(), noise=lambda step, like: eps, gamma=0.0)
        torch.testing.assert_close(ours.z, same.z)


@pytest.mark.parametrize(("s_churn", "gamma"), [(0.6, 0.3), (40.0, math.sqrt(2) - 1)])
def test_a_step_of_edm_is_algorithm_2(s_churn, gamma):
    """Karras et al. 2022, in their own terms: x and the noise level sigma of x, which are y and r here."""
    levels = torch.tensor([-1.0, 0.5, 2.0], dtype=F64)
    sigmas = (-levels / 2).exp()
    eps = torch.full((3, 4), 0.7, dtype=F64)

    def D(x, level):
        logsnr = -2 * level.log()
        return toy(alpha(logsnr) * x, logsnr.expand(3), Cond())

    z = random(7)(0, torch.empty(3, 4, dtype=F64))
    x = z / alpha(levels[0])
    up = sigmas[0] * (1 + gamma)
    x = x + (up**2 - sigmas[0] ** 2).sqrt() * 1.01 * eps
    d = (x - D(x, up)) / up
    ahead = x + (sigmas[1] - up) * d
    d_ahead = (ahead - D(ahead, sigmas[1])) / sigmas[1]
    x = x + (sigmas[1] - up) * (d + d_ahead) / 2
    ours = next(edm.sample(toy, z, levels, Cond(), noise=lambda step, like: eps, s_churn=s_churn, s_noise=1.01))
    torch.testing.assert_close(ours.z, alpha(levels[1]) * x)


def test_edm_churns_where_it_is_told_to():
    """At levels whose r lies in [s_min, s_max], the first of each interval; the last of all has no step to come."""
    asked = []

    def noise(step, like):
        asked.append(step)
        return torch.zeros_like(like)

    levels = torch.cat([-2 * torch.tensor([100.0, 10.0, 1.0, 0.1, 0.01]).log(), torch.tensor([math.inf])])
    zs(edm, levels, noise=noise, s_min=0.05, s_max=50.0)
    assert asked == [1, 2, 3]
