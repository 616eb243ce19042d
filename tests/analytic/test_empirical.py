"""A finite set of points: its denoiser at the ends, and why a perfect fit of a training set is useless."""

import torch

from filmgrain.analytic.empirical import Empirical
from filmgrain.analytic.mixture import Mixture
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.denoiser import Denoiser
from filmgrain.diffusion.process import alpha
from filmgrain.diffusion.schedules import Cosine
from filmgrain.samplers import ancestral, ddim, last

F64 = torch.float64


def points(count=20, n=3, seed=0):
    return torch.randn(count, n, generator=torch.Generator().manual_seed(seed), dtype=F64)


def test_it_is_a_mixture_of_points():
    data, z = points(), torch.randn(5, 3, dtype=F64)
    mixture = Mixture(torch.ones(20, dtype=F64), data, torch.zeros(20, dtype=F64))
    logsnr = torch.linspace(-15, 15, 5, dtype=F64)
    torch.testing.assert_close(Empirical(data)(z, logsnr, Cond()), mixture(z, logsnr, Cond()))


def test_in_noise_it_is_the_mean_and_without_noise_the_nearest():
    data, z = points(), torch.randn(5, 3, dtype=F64)
    noise, clean = torch.full((5,), -20.0, dtype=F64), torch.full((5,), 20.0, dtype=F64)
    torch.testing.assert_close(Empirical(data)(z, noise, Cond()), data.mean(0).expand(5, 3), rtol=0, atol=1e-3)
    near = data[torch.cdist(z, data).argmin(1)]
    torch.testing.assert_close(Empirical(data)(alpha(clean)[:, None] * z, clean, Cond()), near)


def test_sampling_gives_back_the_training_set():
    """Memorisation: every sample of the best denoiser of a training set is one of its items."""
    data = points(40, 4).float()
    levels = Cosine()(torch.linspace(1, 0, 65))
    levels[-1] = torch.inf
    rng = torch.Generator().manual_seed(1)

    def noise(step, like):
        return torch.randn(like.shape, generator=rng)

    for sampler, options in ((ddim, {}), (ancestral, {"noise": noise})):
        x = last(sampler.sample(Empirical(data), torch.randn(200, 4, generator=rng), levels, Cond(), **options))
        apart, item = torch.cdist(x, data).min(1)
        assert apart.max() < 1e-3
        assert item.unique().numel() > 30  # and of all of it, not of a few


def test_it_is_a_denoiser_of_any_shape_in_the_dtype_of_z():
    denoiser = Empirical(points(8, 6).reshape(8, 1, 6, 1, 1))
    assert isinstance(denoiser, Denoiser)
    for dtype in (torch.float32, F64):
        x0 = denoiser(torch.randn(2, 1, 6, 1, 1, dtype=dtype), torch.zeros(2, dtype=dtype), Cond())
        assert x0.shape == (2, 1, 6, 1, 1) and x0.dtype == dtype
    assert denoiser.draw(5).shape == (5, 1, 6, 1, 1)
