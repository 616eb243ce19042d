"""What is made beside what is known, held against the exact law of Gaussian data."""

from functools import partial

import pytest
import torch
from exact_video_model import EXACTLY, FINE, STD, covariance, exact_model, law, truth

from filmgrain.generate.conditional import Conditional, Diverged
from filmgrain.generate.extend import extend, loop
from filmgrain.generate.inpaint import connect, inpaint
from filmgrain.generate.interpolate import interpolate
from filmgrain.generate.sampling import Config
from filmgrain.generate.upscale import upscale
from filmgrain.guidance.measurements import Downsample
from filmgrain.oracle import conditional as oracle

SAMPLES = 1500
ERROR = 5 * (2 / SAMPLES) ** 0.5  # five standard errors of a variance of 1
EXACT = {"how": EXACTLY, "config": FINE}
ANCESTRAL = Config(sampler="ancestral", steps=64, options={"gamma": 0.0}, threshold="none")


@pytest.fixture(scope="module")
def frames():
    """Videos of six frames of one pixel."""
    return exact_model(SAMPLES, 6, 1, 1)


@pytest.fixture(scope="module")
def pictures():
    """Videos of two frames of 4x4."""
    return exact_model(SAMPLES, 2, 4, 4)


def has_the_law(x, *shape):
    torch.testing.assert_close(covariance(x), law(*shape).covariance / STD**2, rtol=0, atol=ERROR)


@pytest.mark.parametrize("before", [False, True])
def test_an_extended_video_is_one_of_the_process(frames, before):
    """A Markov chain goes on block after block, as nothing but the last frame counts."""
    clip = truth(SAMPLES, 4, 1, 1)
    x = extend(frames, clip, frames=13, before=before, **EXACT)
    assert torch.equal(x[:, -4:] if before else x[:, :4], clip)
    has_the_law(x, 13, 1, 1)


def test_so_is_one_from_nothing(frames):
    has_the_law(extend(frames, None, frames=10, **EXACT), 10, 1, 1)


def test_an_interpolated_video_is_one_of_the_process(frames):
    whole = truth(SAMPLES, 13, 1, 1)
    x = interpolate(frames, whole[:, ::2], times=2, **EXACT)
    assert torch.equal(x[:, ::2], whole[:, ::2])
    has_the_law(x, 13, 1, 1)


def test_a_region_made_anew_is_one_of_the_process(pictures):
    whole, mask = truth(SAMPLES, 2, 4, 4), torch.zeros(4, 4).bool()
    mask[1:3, 1:] = True
    x = inpaint(pictures, whole, mask, **EXACT)
    assert torch.equal(x[..., ~mask], whole[..., ~mask])
    has_the_law(x, 2, 4, 4)
    assert (x - whole)[..., mask].std() > 0.2 * STD


def test_an_enlarged_video_is_one_of_the_process_and_has_the_small_copy(pictures):
    whole = truth(SAMPLES, 2, 4, 4)
    x = upscale(pictures, Downsample(2)(whole), **EXACT)
    torch.testing.assert_close(Downsample(2)(x), Downsample(2)(whole), rtol=0, atol=1e-3)
    has_the_law(x, 2, 4, 4)


def test_what_lies_between_two_frames_is_the_bridge(frames):
    """Its mean is the regression on both ends; its variance what is left."""
    first, last = (torch.full((SAMPLES, 1, 1), STD * value) for value in (1.0, -0.5))
    x = connect(frames, first, last, frames=6, **EXACT)[:, 1:-1].flatten(1).double() / STD
    ends = torch.tensor([True, *[False] * 4, True])
    slope, left = law(6, 1, 1).regression(ends)
    mean = slope @ torch.tensor([1.0, -0.5], dtype=torch.float64)
    torch.testing.assert_close(x.mean(0), mean, rtol=0, atol=5 / SAMPLES**0.5)
    torch.testing.assert_close(x.T.cov(), left / STD**2, rtol=0, atol=ERROR)


def test_the_end_of_a_loop_meets_its_start():
    """Frames 2 ... 13 are drawn one after another, and 14 ... 17 as a bridge from 12, 13 to 18, 19, which are 0, 1."""
    x = loop(exact_model(SAMPLES, 8, 1, 1), None, frames=18, **EXACT)
    assert x.shape == (SAMPLES, 18, 1, 1)
    seam = torch.cat([x[:, 12:], x[:, :2]], dim=1)
    ends = torch.tensor([True, True, *[False] * 4, True, True])
    slope, left = law(8, 1, 1).regression(ends)
    found = covariance(seam)
    torch.testing.assert_close(found[~ends][:, ends], slope @ found[ends][:, ends], rtol=0, atol=ERROR)
    rest = found[~ends][:, ~ends] - slope @ found[ends][:, ends] @ slope.T
    torch.testing.assert_close(rest, left / STD**2, rtol=0, atol=ERROR)
    assert found[5, 6] > 0.7  # the last frame and the first


@pytest.mark.parametrize(("method", "scale"), [("replacement", 0.0), ("both", 2.0), ("guidance", 5.0)])
def test_replacement_and_guidance_are_as_far_off_as_theory_says(method, scale):
    """Against the covariance that the oracle finds without sampling; replacement falls short at the boundary."""
    rules = {"replacement": oracle._known, "both": partial(oracle._both, scale=scale)}
    rules["guidance"] = partial(oracle._guided, scale=scale)
    expected = oracle.propagated(oracle.Method(method, rules[method]), 64)
    model, clip = exact_model_of_the_oracle(), truth_of_the_oracle()
    how = Conditional(method=method, weight=scale)
    x = extend(model, clip, frames=16, how=how, config=ANCESTRAL)
    torch.testing.assert_close(covariance(x), expected, rtol=0, atol=1.5 * ERROR)


def exact_model_of_the_oracle():
    model = exact_model(SAMPLES, 16, 1, 1)
    model.network.data = scaled_oracle()
    return model


def truth_of_the_oracle():
    return scaled_oracle().draw(SAMPLES, torch.Generator().manual_seed(5)).float().reshape(SAMPLES, 16, 1, 1)[:, :8]


def scaled_oracle():
    data = oracle.video()
    return type(data)(data.mean, STD**2 * data.covariance)


def test_a_weight_that_diverges_is_said(frames):
    clip = truth(SAMPLES, 4, 1, 1)
    for weight in (500.0, 1e9):
        with pytest.raises(Diverged, match=r"diverged: it moved x0.* use a smaller weight") as caught:
            extend(frames, clip, frames=6, how=Conditional(weight=weight), config=ANCESTRAL)
        assert "\n" not in str(caught.value)
