"""The smaller copy of x as a condition: what is seen of x, what is drawn, and how a stage is sampled by it."""

from dataclasses import replace

import pytest
import torch

from filmgrain.autoencoders import pixels
from filmgrain.conditioning import Conditioner as Contract
from filmgrain.conditioning.label import Conditioner as Label
from filmgrain.conditioning.label import Config as LabelConfig
from filmgrain.conditioning.low_resolution import Conditioner, Config, reduced
from filmgrain.diffusion.cond import stack
from filmgrain.diffusion.draw import Draw
from filmgrain.diffusion.process import alpha, sigma
from filmgrain.diffusion.schedules import Cosine
from filmgrain.generate.conditional import Conditional
from filmgrain.generate.extend import extend
from filmgrain.generate.sampling import Config as Sampling
from filmgrain.generate.upscale import upscale
from filmgrain.generate.videos import generate
from filmgrain.guidance.measurements import Downsample
from filmgrain.model import Config as Diffusion
from filmgrain.model import DiffusionModel
from filmgrain.networks import unet3d
from filmgrain.recipe import RecipeError, load, override

SHAPE = (3, 4, 8, 8)
CODEC = pixels.Codec(pixels.Config())
DRAW = Draw(0, (4, 9))
STEPS = Sampling(sampler="ddim", steps=2)


def made(**settings):
    torch.manual_seed(0)
    return Conditioner(Config(factor=2, **settings), vector=8)


def videos(count=2):
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(1)) * 2 - 1


def model_of(**others):
    network = unet3d.Network(unet3d.Config(width=8, mults=(1, 2), heads=2, head_width=8, condition=8, maps=3))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return DiffusionModel(network, CODEC, Diffusion(schedule=Cosine()), SHAPE, {"low_resolution": made(), **others})


def test_maps_are_the_noised_mean_of_every_square():
    conditioner, x = made(), videos()
    logsnr = torch.tensor([1.0, 30.0])
    cond = conditioner({"x": x, "augmentation": logsnr}, DRAW, CODEC)
    small = Downsample(2)(x)
    assert cond.maps.shape == x.shape and cond.vector.shape == (2, 8)
    torch.testing.assert_close(cond.maps[1, ..., ::2, ::2], small[1], rtol=0, atol=1e-5)
    assert torch.equal(cond.maps[..., ::2, ::2], cond.maps[..., 1::2, 1::2])
    noise = cond.maps[0, ..., ::2, ::2] - alpha(logsnr[0]) * small[0]
    assert noise.std() == pytest.approx(sigma(logsnr[0]).item(), rel=0.2)
    assert (cond.vector[0] - cond.vector[1]).abs().max() > 1e-3  # the level is told


def test_an_enlarged_copy_says_what_x_says():
    conditioner, x = made(), videos()
    again = reduced(x, 2).repeat_interleave(2, -1).repeat_interleave(2, -2)
    one, other = (conditioner({"x": given, "augmentation": [4.0, 4.0]}, DRAW, CODEC) for given in (x, again))
    torch.testing.assert_close(one.maps, other.maps, rtol=0, atol=1e-5)


def test_level_and_noise_are_functions_of_the_draw():
    conditioner, x = made(levels=(2.0, 5.0)), videos()
    one, again = (conditioner({"x": x}, DRAW, CODEC) for _ in range(2))
    assert torch.equal(one.maps, again.maps) and torch.equal(one.vector, again.vector)
    alone = conditioner({"x": x[1:]}, Draw(0, (9,)), CODEC)
    assert torch.equal(alone.maps[0], one.maps[1])
    assert not torch.equal(one.vector[0], one.vector[1])


def test_null_fits_any_size():
    conditioner = made()
    assert isinstance(conditioner, Contract)
    null, cond = conditioner.null(2), conditioner({"x": videos()}, DRAW, CODEC)
    dropped = cond.drop(null, torch.tensor([True, False]))
    assert torch.equal(dropped.maps[0], cond.maps[0]) and not dropped.maps[1].any()
    both = stack([cond, null])
    assert both.maps.shape == (4, *SHAPE) and not both.maps[2:].any()


def test_a_stage_is_sampled_by_what_it_is_given():
    model, small = model_of(), Downsample(2)(videos())
    how = Conditional(augmentation=30.0)
    one, other = (upscale(model, x, config=STEPS, how=how) for x in (small, small.flip(0)))
    assert one.shape == (2, *SHAPE) and (one - other).abs().max() > 0
    noisy = upscale(model, small, config=STEPS, how=Conditional(augmentation=0.0))
    assert (one - noisy).abs().max() > 0
    with pytest.raises(ValueError, match="trained to enlarge 2 times, not 4"):
        upscale(model, torch.zeros(3, 4, 2, 2), config=STEPS)
    assert generate(model, 2, config=Sampling(steps=2, scale=2.0), given={"x": videos()}).isfinite().all()
    assert extend(model, None, frames=6, config=STEPS, how=Conditional(weight=0.01)).shape == (3, 6, 8, 8)


def test_guidance_towards_a_label_leaves_the_smaller_copy_said():
    """With labels that say nothing, guided and not guided are one; away from no copy at all they would not be."""
    model = model_of(label=Label(LabelConfig(names=("a", "b")), vector=8))
    torch.nn.init.zeros_(model.conditioners["label"].table.weight)
    plain, guided = (
        upscale(model, Downsample(2)(videos()), config=replace(STEPS, scale=scale), given={"label": [1]})
        for scale in (1.0, 5.0)
    )
    torch.testing.assert_close(guided, plain, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"factor": 1}, "factor=1 makes nothing larger"),
        ({"levels": (3.0, 1.0)}, r"levels=\[3.0, 1.0\]"),
        ({"drop": 1.0}, "drop=1.0"),
        ({"width": 0}, "width=0"),
        ({"axes": 4}, "axes=4"),
    ],
    ids=["factor", "levels", "drop", "width", "axes"],
)
def test_what_cannot_be_is_said_in_one_line(settings, says):
    with pytest.raises(ValueError, match=says) as caught:
        Config(**settings)
    assert "\n" not in str(caught.value)


def test_x_that_is_no_multiple_of_the_factor_is_refused():
    with pytest.raises(ValueError, match="x of 8x7 is no multiple of factor=2"):
        reduced(torch.zeros(1, 3, 4, 8, 7), 2)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("network.maps=0", "network.maps=0, and the conditions have 3 channels of maps; set"),
        ("conditions.low_resolution.axes=2", "the data are 3x8x32x32 .channels first.: set channels=3 and axes=3"),
        ("conditions.low_resolution.channels=1", "is of channels=1 and axes=3"),
        ("conditions.low_resolution.factor=5", "x of 32x32 is no multiple of factor=5"),
    ],
)
def test_a_recipe_whose_parts_do_not_fit_is_refused_as_it_is_read(setting, says):
    with pytest.raises(RecipeError, match=says) as caught:
        override(load("upscale_shapes"), [setting])
    assert "\n" not in str(caught.value)
