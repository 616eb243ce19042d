"""Denoising, variations and interpolation, held against a model that is exactly right: Gaussian data."""

import pytest
import torch

from filmgrain.analytic.gaussian import Gaussian
from filmgrain.autoencoders import pixels
from filmgrain.generate.edit import between, between_noises, denoise, level_of, levels_from, sphere, vary
from filmgrain.generate.sampling import Config
from filmgrain.generate.videos import NotFinite
from filmgrain.model import Config as Diffusion
from filmgrain.model import DiffusionModel

SHAPE, MEAN, STD = (1, 2, 2), 0.2, 0.15
FINE = Config(sampler="dpmpp_2m_sde", steps=100, threshold="none")


class Exact(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.data = Gaussian.isotropic(4, mean=MEAN, std=STD)
        self.place = torch.nn.Parameter(torch.zeros(()))  # where the model is

    def forward(self, z, logsnr, cond):
        return self.data(z, logsnr, cond)


@pytest.fixture(scope="module")
def model():
    return DiffusionModel(Exact(), pixels.Codec(pixels.Config()), Diffusion(prediction="x0"), SHAPE)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_mean_of_what_may_lie_behind_noise_is_wieners(model):
    """E[x | y] = m + s^2 / (s^2 + sigma^2) (y - m), whatever the schedule."""
    noisy = MEAN + 0.4 * normal(6, *SHAPE)
    for sigma in (0.05, 0.3, 2.0):
        gain = STD**2 / (STD**2 + sigma**2)
        torch.testing.assert_close(denoise(model, noisy, sigma), MEAN + gain * (noisy - MEAN), rtol=0, atol=2e-6)


def test_samples_behind_noise_have_the_posteriors_moments(model):
    sigma, y = 0.2, 0.5
    x = denoise(model, torch.full((3000, *SHAPE), y), sigma, config=FINE, mean=False)
    gain = STD**2 / (STD**2 + sigma**2)
    assert x.mean().item() == pytest.approx(MEAN + gain * (y - MEAN), abs=0.005)
    assert x.std().item() == pytest.approx((gain * sigma**2) ** 0.5, rel=0.08)


def test_a_variation_keeps_what_the_level_keeps(model):
    x = MEAN + STD * normal(2000, *SHAPE)
    near, far = (vary(model, x, level, config=FINE) for level in (9.0, -15.0))
    torch.testing.assert_close(near, x, rtol=0, atol=0.05)
    made = torch.corrcoef(torch.stack([x.flatten(), far.flatten()]))[0, 1]
    assert abs(made) < 0.05
    assert far.mean().item() == pytest.approx(MEAN, abs=0.01) and far.std().item() == pytest.approx(STD, rel=0.05)


def test_a_variation_begins_at_the_level_that_it_noises_to(model):
    """Mistake 20: noised to t, and denoised from t - 1."""
    asked = []
    handle = model.network.register_forward_pre_hook(lambda network, inputs: asked.append(inputs[1][0].item()))
    vary(model, torch.zeros(1, *SHAPE), -1.3, config=Config(steps=10, threshold="none"))
    handle.remove()
    assert asked[0] == pytest.approx(-1.3) and asked == sorted(asked) and len(set(asked)) == len(asked)


@pytest.mark.parametrize("logsnr", [None, -2.0])
def test_the_ends_of_the_way_come_back(model, logsnr):
    a, b = 0.1 + 0.2 * normal(2, *SHAPE, seed=3)
    way = between(model, a, b, 5, logsnr=logsnr, config=Config(steps=400, threshold="none"))
    assert way.shape == (5, *SHAPE)
    torch.testing.assert_close(torch.stack([way[0], way[-1]]), torch.stack([a, b]), rtol=0, atol=0.03)
    steps = way.diff(dim=0).flatten(1).norm(dim=1)
    assert steps.max() < 2 * steps.min()  # even paces


def test_the_way_between_two_samples_begins_and_ends_with_them(model):
    config = Config(steps=20, threshold="none")
    way = between_noises(model, 7, (4, 9), 3, config=config)
    from filmgrain.generate.videos import generate

    samples = generate(model, 10, seed=7, config=config)
    torch.testing.assert_close(way[0], samples[4], rtol=0, atol=1e-4)
    torch.testing.assert_close(way[-1], samples[9], rtol=0, atol=1e-4)


def test_the_way_over_the_sphere_keeps_the_length_of_noise():
    a, b = normal(2, 3, 16, 16)
    way = sphere(a, b, 7)
    torch.testing.assert_close(way[0], a)
    torch.testing.assert_close(way[-1], b)
    assert (way.flatten(1).norm(dim=1) > 0.95 * min(a.norm(), b.norm())).all()  # the straight way falls to 0.7
    torch.testing.assert_close(sphere(a, a, 3)[1], a)  # no angle between


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda model: denoise(model, torch.zeros(1, *SHAPE), 0.0), "sigma=0.0 is no noise"),
        (lambda model: vary(model, torch.zeros(1, *SHAPE), -50.0), "noisier than the schedule's last level, -20.00"),
        (lambda model: between(model, torch.zeros(SHAPE), torch.zeros(SHAPE), 1), "count=1"),
        (lambda model: level_of(float("nan")), "sigma=nan"),
    ],
)
def test_what_cannot_be_is_said(model, wrong, says):
    with pytest.raises(ValueError, match=says):
        wrong(model)


def test_the_level_asked_for_is_the_first_and_then_the_grids(model):
    levels = levels_from(model, Config(steps=10), -1.0)
    grid = Config(steps=10).grid_of(model.schedule)
    assert levels[0] == -1 and torch.equal(levels[1:], grid[grid > -1])
    assert torch.equal(levels_from(model, Config(steps=10), grid[3].item()), grid[3:])


@pytest.mark.parametrize("edit", ["mean", "sample", "vary", "between", "between_noises"])
def test_nan_is_said_by_every_edit(edit):
    """And not written as a picture."""
    broken = DiffusionModel(Exact(), pixels.Codec(pixels.Config()), Diffusion(prediction="x0"), SHAPE)
    broken.network.register_forward_hook(lambda network, inputs, x0: x0 * float("nan"))
    x, config = torch.zeros(2, *SHAPE), Config(steps=3)
    edits = {
        "mean": lambda: denoise(broken, x, 0.5),
        "sample": lambda: denoise(broken, x, 0.5, config=config, mean=False),
        "vary": lambda: vary(broken, x, 0.0, config=config),
        "between": lambda: between(broken, x[0], x[1], 3, config=config),
        "between_noises": lambda: between_noises(broken, 0, (0, 1), 3, config=config),
    }
    with pytest.raises(NotFinite, match="NaN or infinity at step"):
        edits[edit]()
