"""Orders of convergence, against probability flows that are known exactly.

The flow of Gaussian data is linear and in closed form. In one dimension the flow of any data keeps each point at its
quantile, F_s(z_s) = F_t(z_t), so that a mixture has an exact flow too, which is not linear. Errors end at a finite
level (the step into the data is of first order, whatever the sampler) and are pooled over scales of data.
"""

import math
from itertools import pairwise

import pytest
import torch

from filmgrain import rooms
from filmgrain.analytic.gaussian import Gaussian
from filmgrain.analytic.mixture import Mixture
from filmgrain.diffusion import grids
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.process import alpha, sigma
from filmgrain.diffusion.schedules import Cosine
from filmgrain.samplers import ddim, dpmpp_3m, heun, last, rk45, unipc

F64 = torch.float64
Z = torch.linspace(-2, 2, 9, dtype=F64)[:, None]
MODULES = {name: rooms.find("samplers", name) for name in rooms.names("samplers")}
DETERMINISTIC = [name for name, module in MODULES.items() if module.ORDER and module.nfe(8)]


class Bimodal(Mixture):
    """Two modes in one dimension, with the exact flow through quantiles."""

    def __init__(self):
        super().__init__(*(torch.tensor(of, dtype=F64) for of in ([0.3, 0.7], [[-1.0], [0.6]], [0.3, 0.4])))

    def quantile(self, z, level):
        level = torch.tensor(level, dtype=F64)
        deviation = (alpha(level) ** 2 * self.stds**2 + sigma(level) ** 2).sqrt()
        return (self.weights * torch.special.ndtr((z - alpha(level) * self.means[:, 0]) / deviation)).sum(1, True)

    def flow(self, z, t, s):
        wanted, low, high = self.quantile(z, t), torch.full_like(z, -9), torch.full_like(z, 9)
        for _ in range(60):  # bisection
            middle = (low + high) / 2
            below = self.quantile(middle, s) < wanted
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2


SCALES = Gaussian(torch.full((3,), 0.4, dtype=F64), torch.tensor([0.2, 0.7, 2.0], dtype=F64).square().diag())
DATA = pytest.mark.parametrize("data", [SCALES, Bimodal()], ids=["linear", "bimodal"])


def start(data):
    return Z.expand(-1, 3 if data is SCALES else 1)


def even(first, final, steps):
    return torch.linspace(first, final, steps + 1, dtype=F64)


def uneven(first, final, steps):
    """Steps that grow to 1.6 times the even ones and shrink to 0.4 of them, smoothly."""
    u = torch.linspace(0, 1, steps + 1, dtype=F64)
    return first + (final - first) * (u + 0.1 * (2 * math.pi * u).sin())


def rms(error):
    return error.square().mean().sqrt().item()


def orders(sample, data, *, first=-8.0, final=4.0, grid=even, steps=(32, 64, 128), **options):
    """log2 of the errors' ratios as the number of steps doubles."""
    z = start(data)
    truth = data.flow(z, first, final)
    ends = [last(sample(data, z, grid(first, final, count), Cond(), **options)) for count in steps]
    return [math.log2(rms(coarse - truth) / rms(fine - truth)) for coarse, fine in pairwise(ends)]


def test_the_flow_through_quantiles_is_that_of_the_denoiser():
    """dz/dlogsnr = (alpha / 2) (x0 - alpha z), by differences."""
    level, step, data = torch.tensor(0.5, dtype=F64), 1e-4, Bimodal()
    slope = (data.flow(Z, 0.5, 0.5 + step) - data.flow(Z, 0.5, 0.5 - step)) / (2 * step)
    x0 = data(Z, level.expand(len(Z)), Cond())
    torch.testing.assert_close(slope, alpha(level) / 2 * (x0 - alpha(level) * Z), rtol=1e-6, atol=1e-6)


@DATA
@pytest.mark.parametrize("grid", [even, uneven])
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_sampler_is_of_the_order_that_it_declares(name, grid, data):
    """A new file in samplers/ is tested here without being listed."""
    found = orders(MODULES[name].sample, data, grid=grid)
    assert all(order >= MODULES[name].ORDER - min(0.2, MODULES[name].ORDER / 10) for order in found), found
    assert found[-1] <= MODULES[name].ORDER + 0.4, found


@DATA
@pytest.mark.parametrize("variant", ["bh1", "bh2"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_corrector_of_unipc_adds_one_order(order, variant, data):
    found = orders(unipc.sample, data, order=order, variant=variant, steps=(64, 128, 256))
    assert all(order + 1 - 0.25 <= each <= order + 1.4 for each in found), found


@DATA
def test_the_published_third_order_update_is_of_order_2(data):
    """Its second-difference term lacks a factor 2; docs/mathematics.md derives it."""
    published, derived = (
        orders(dpmpp_3m.sample, data, published=published, steps=(64, 128, 256)) for published in (True, False)
    )
    assert all(order >= 2.6 for order in derived), derived
    assert published[-1] <= 2.15 and all(order <= 2.6 for order in published), published


@pytest.mark.parametrize(("sampler", "options", "least"), [(dpmpp_3m, {}, 2.8), (unipc, {}, 2.8)])
@DATA
def test_the_first_steps_do_not_cost_the_order(sampler, options, least, data):
    """From logsnr -4, where x0 already moves: a first step of ddim would leave 2.0, which a start at -8 hides."""
    found = orders(sampler.sample, data, first=-4.0, **options)
    assert all(order >= least for order in found), found


@pytest.mark.parametrize("name", [name for name in DETERMINISTIC if MODULES[name].ORDER >= 2])
def test_a_higher_order_pays(name):
    """At 64 steps the error is below a fifth of ddim's."""
    data, levels = Bimodal(), even(-8.0, 4.0, 64)
    truth = data.flow(Z, -8.0, 4.0)
    error, first_order = (
        (last(sample(data, Z, levels, Cond())) - truth).abs().max() for sample in (MODULES[name].sample, ddim.sample)
    )
    assert error < first_order / 5


def test_heun_wants_a_ratio_of_noise_to_signal_that_falls_by_small_factors():
    """What docs/mathematics.md says of its error on the cosine schedule, in 20 steps to the data."""
    errors = {}
    for ends in (20.0, 10.0):
        levels = grids.levels(Cosine(logsnr_min=-ends, logsnr_max=ends), 20).double()
        for sampler in (heun, ddim):
            truth = Bimodal().flow(Z, -ends, 60.0)
            errors[sampler, ends] = rms(last(sampler.sample(Bimodal(), Z, levels, Cond())) - truth)
    assert errors[heun, 20] == pytest.approx(1.7, rel=0.05) and errors[heun, 10] == pytest.approx(0.022, rel=0.05)
    assert errors[ddim, 20] == pytest.approx(0.05, rel=0.05) and errors[ddim, 10] == pytest.approx(0.05, rel=0.05)


class Counted:
    def __init__(self, denoiser):
        self.denoiser, self.calls = denoiser, 0

    def __call__(self, z, logsnr, cond):
        self.calls += 1
        return self.denoiser(z, logsnr, cond)


@DATA
@pytest.mark.parametrize(("tolerance", "error", "calls"), [(1e-4, 2e-3, 70), (1e-6, 5e-5, 130), (1e-9, 5e-8, 400)])
def test_rk45_keeps_to_its_tolerance(data, tolerance, error, calls):
    """The tolerance is of a step; the flow carries the errors of all of them to the end."""
    counted = Counted(data)
    end = last(rk45.sample(counted, start(data), even(-8.0, 4.0, 1), Cond(), rtol=tolerance, atol=tolerance))
    assert (end - data.flow(start(data), -8.0, 4.0)).abs().max() < error
    assert counted.calls <= calls


def test_rk45_is_of_order_5():
    """Steps of a length that is forced upon it: the tolerance takes all."""
    errors = []
    for steps in (12, 24, 48):
        levels = even(-8.0, 4.0, steps)  # steps of logsnr 1 and shorter
        end = last(rk45.sample(Bimodal(), Z, levels, Cond(), rtol=1e6, atol=1e6))
        errors.append(rms(end - Bimodal().flow(Z, -8.0, 4.0)))
    assert all(coarse / fine > 2**4.6 for coarse, fine in pairwise(errors)), errors


def test_each_sample_of_rk45_has_its_own_steps():
    """So an easy sample does not depend on a hard one beside it, and the batch takes as many calls as the hardest."""
    data, levels, alone = Bimodal(), even(-8.0, 4.0, 3), []
    batch = Counted(data)
    together = last(rk45.sample(batch, Z, levels, Cond()))
    for i in range(len(Z)):
        counted = Counted(data)
        torch.testing.assert_close(last(rk45.sample(counted, Z[i : i + 1], levels, Cond()))[0], together[i])
        alone.append(counted.calls)
    assert min(alone) < max(alone) <= batch.calls <= max(alone) + 18  # intervals are waited for


def test_rk45_comes_to_an_end_where_a_network_is_noisy():
    """Whatever the tolerance, in steps of logsnr 0.01 at least; twice as many calls for the steps tried in vain."""
    rng = torch.Generator().manual_seed(0)
    noisy = Counted(lambda z, logsnr, cond: z + torch.randn(z.shape, generator=rng, dtype=F64))
    last(rk45.sample(noisy, Z, even(0.0, 1.0, 1), Cond(), rtol=1e-9, atol=1e-9))
    assert 500 < noisy.calls < 2 * 600


def test_rk45_passes_a_nan_on():
    def denoiser(z, logsnr, cond):
        assert counted.calls < 100, "it tries the same step for ever"
        return torch.where(z > 0, z, math.nan)

    counted = Counted(denoiser)
    *_, end = rk45.sample(counted, torch.tensor([[1.0], [-1.0]]), torch.tensor([-8.0, 0.0, 4.0]), Cond())
    assert end.z[0].isfinite() and end.z[1].isnan()


@pytest.mark.parametrize("from_data", [False, True])
@DATA
def test_inverting_ddim_is_of_first_order(data, from_data):
    """Back to the noise of the exact flow, and from there to the sample again."""
    there, back = [], []
    for steps in (32, 64, 128):
        levels = even(-10.0, 4.0, steps)
        if from_data:  # cosine: logsnr = -2 log tan(pi t / 2), and so +inf at t = 0
            levels = -2 * (math.pi / 2 * torch.linspace(0.9957, 0, steps + 1, dtype=F64)).tan().log()
        x0 = data.flow(start(data), -10.0, 80.0 if from_data else 4.0)
        z = last(ddim.invert(data, x0, levels.flip(0), Cond()))
        there.append(rms(z - data.flow(x0, 80.0 if from_data else 4.0, levels[0].item())))
        back.append(rms(last(ddim.sample(data, z, levels, Cond())) - x0))
    for errors in (there, back):
        assert all(0.85 <= math.log2(coarse / fine) <= 1.15 for coarse, fine in pairwise(errors)), errors
    assert max(there[-1], back[-1]) < 0.05


def test_the_flow_leaves_the_data_along_alpha():
    """The first step of the inversion out of +inf, which asks the denoiser nothing."""
    levels, counted = torch.tensor([math.inf, 1.0, -1.0], dtype=F64), Counted(Bimodal())
    steps = ddim.invert(counted, Z, levels, Cond())
    assert torch.equal(next(steps).z, alpha(levels[1]) * Z) and counted.calls == 0
    list(steps)
    assert counted.calls == 1


def test_inverting_refuses_rising_levels():
    with pytest.raises(ValueError, match="do not fall"):
        next(ddim.invert(Bimodal(), Z, even(-8.0, 4.0, 3), Cond()))
