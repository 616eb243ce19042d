"""Our tables, posteriors and grids against diffusers', to 1e-7. Theirs hold float32, ours float64; theirs.py says more.

Of another T than 1,000 ours scale beta by 1000 / T (`scale=False` is theirs). Their cosine table cuts beta at 0.999,
ours by default at 0.9999.
"""

import math
from typing import NamedTuple

import pytest
import torch
from theirs import F64, scheduler

from filmgrain.diffusion.grids import levels
from filmgrain.diffusion.process import alpha, diffuse, posterior_mean, renewed, sigma
from filmgrain.diffusion.tables import CosineBeta, LinearBeta, ScaledLinearBeta, look_up

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")
SCALED = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
TABLES = {  # their config, and our schedule of T steps
    "linear": ({}, lambda T, **z: LinearBeta(steps=T, scale=False, **z)),
    "scaled_linear": (SCALED, lambda T, **z: ScaledLinearBeta(steps=T, scale=False, **z)),
    "squaredcos_cap_v2": (
        {"beta_schedule": "squaredcos_cap_v2"},
        lambda T, **z: CosineBeta(steps=T, beta_max=0.999, **z),
    ),
}
tables = pytest.mark.parametrize("name", TABLES)


class Table(NamedTuple):
    """A schedule of just these levels."""

    table: torch.Tensor

    def __call__(self, t):
        return look_up(self.table, t)


def beta(table):
    alpha_bar = table.sigmoid()
    return 1 - alpha_bar / torch.cat([torch.ones(1, dtype=F64), alpha_bar[:-1]])


@tables
@pytest.mark.parametrize("T", [1000, 300])
def test_betas(name, T):
    config, ours = TABLES[name]
    theirs = scheduler("DDPMScheduler", **config | {"num_train_timesteps": T})
    torch.testing.assert_close(beta(ours(T).table), theirs.betas.double(), rtol=0, atol=1e-7)
    exact = (1 - theirs.betas.double()).cumprod(0)
    torch.testing.assert_close(ours(T).table.sigmoid(), exact, rtol=0, atol=1e-6)
    torch.testing.assert_close(ours(T).table.sigmoid(), theirs.alphas_cumprod.double(), rtol=0, atol=3e-6)


@tables
def test_zero_terminal_snr(name):
    """`rescale_betas_zero_snr`. For the last alpha_bar, 0, their solvers have 2^-24: on the linear table more than the
    level before, where ours falls on. A table that ends below 2^-24, as the cosine one does, ours leaves as it is.
    """
    config, ours = TABLES[name]
    theirs = scheduler("DPMSolverMultistepScheduler", **config, rescale_betas_zero_snr=True).alphas_cumprod.double()
    alpha_bar = ours(1000, zero_terminal_snr=True).table.sigmoid()
    atol = 3e-5 if name == "squaredcos_cap_v2" else 1e-6
    torch.testing.assert_close(alpha_bar, theirs, rtol=0, atol=atol)
    if name == "scaled_linear":
        assert float(alpha_bar[-1]) == pytest.approx(2**-24) == float(theirs[-1])
    if name == "linear":
        assert theirs[-1] > theirs[-2] and alpha_bar[-1] < alpha_bar[-2]


def in_double(theirs):
    theirs.alphas_cumprod, theirs.one = theirs.alphas_cumprod.double(), theirs.one.double()
    return theirs


@tables
@pytest.mark.parametrize("t", [1, 2, 50, 500, 998, 999])
def test_posterior_coefficients(name, t):
    """Of x0, of z and of the noise, for both variances, from their step on ones and zeros."""
    config = TABLES[name][0] | {"prediction_type": "sample", "clip_sample": False}
    zero, one = torch.zeros(1, 1, 1, 1, dtype=F64), torch.ones(1, 1, 1, 1, dtype=F64)
    for variance, at in (("fixed_small", t - 1), ("fixed_large", t)):
        theirs = in_double(scheduler("DDPMScheduler", **config, variance_type=variance))
        table = theirs.alphas_cumprod.logit()

        def step(x0, z, theirs=theirs):
            return theirs.step(x0, t, z, generator=torch.Generator().manual_seed(0)).prev_sample

        noise = torch.randn(1, 1, 1, 1, dtype=F64, generator=torch.Generator().manual_seed(0))
        deviation = (renewed(table[t], table[t - 1]) * sigma(table[at]) ** 2).sqrt()
        for theirs_has, ours_has in (
            (step(one, zero) - step(zero, zero), posterior_mean(zero, one, table[t], table[t - 1])),
            (step(zero, one) - step(zero, zero), posterior_mean(one, zero, table[t], table[t - 1])),
            (step(zero, zero) / noise, deviation.reshape(1, 1, 1, 1)),
        ):
            torch.testing.assert_close(ours_has, theirs_has, rtol=0, atol=1e-7)


@tables
def test_the_forward_process(name):
    theirs = in_double(scheduler("DDPMScheduler", **TABLES[name][0]))
    x0, eps = torch.randn(5, 3, 4, 4, dtype=F64), torch.randn(5, 3, 4, 4, dtype=F64)
    t = torch.tensor([0, 1, 100, 700, 999])
    expected = theirs.add_noise(x0, eps, t)
    torch.testing.assert_close(diffuse(x0, eps, theirs.alphas_cumprod.logit()[t]), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("steps", [10, 30, 50, 999, 1000])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_grids_of_a_table(spacing, steps):
    """`timestep_spacing` of DDPM and DDIM. (`leading` of the solvers begins one such step lower.)"""
    theirs = scheduler("DDIMScheduler", timestep_spacing=spacing)
    theirs.set_timesteps(steps)
    schedule = LinearBeta(scale=False)
    expected = schedule.table[theirs.timesteps]
    torch.testing.assert_close(levels(schedule, steps, spacing)[:-1], expected.float(), rtol=0, atol=0)


@pytest.mark.parametrize(("grid", "config"), [("karras", "use_karras_sigmas"), ("logsnr", "use_exponential_sigmas")])
def test_grids_of_sigmas(grid, config):
    """Between the ends of the table, r = sigma / alpha = 14.6 and 0.029. (Beyond 80 and 0.002 ours do not go.)"""
    theirs = scheduler("EulerDiscreteScheduler", **SCALED, **{config: True})
    theirs.set_timesteps(20)
    ours = levels(Table(theirs.alphas_cumprod.double().logit()), 20, grid)
    torch.testing.assert_close((-ours / 2).exp(), theirs.sigmas, rtol=1e-6, atol=0)
    assert ours[-1] == math.inf and theirs.sigmas[-1] == 0


def test_uniform_time_is_their_trailing_where_the_steps_divide_the_table():
    theirs = scheduler("DDIMScheduler", timestep_spacing="trailing")
    theirs.set_timesteps(50)
    schedule = LinearBeta(scale=False)
    assert torch.equal(levels(schedule, 50)[:-1], schedule.table[theirs.timesteps].float())


def test_alpha_and_sigma_are_those_of_a_sigma():
    """alpha = 1 / sqrt(1 + r^2), sigma = r alpha."""
    r = torch.tensor([0.01, 1.0, 14.6], dtype=F64)
    logsnr = -2 * r.log()
    torch.testing.assert_close(alpha(logsnr), 1 / (1 + r**2).sqrt(), rtol=0, atol=1e-12)
    torch.testing.assert_close(sigma(logsnr), r / (1 + r**2).sqrt(), rtol=0, atol=1e-12)
