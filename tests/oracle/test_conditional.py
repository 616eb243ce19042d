"""Guidance against the exact conditional: the order of the methods, and what is exact."""

from functools import cache, partial

import pytest
import torch

from filmgrain.analytic.gaussian import Gaussian
from filmgrain.diffusion import grids
from filmgrain.diffusion.schedules import Cosine
from filmgrain.oracle import conditional
from filmgrain.oracle.conditional import Method, exactly, propagated
from filmgrain.oracle.truths import video
from filmgrain.oracle.walk import Seeds, walk

METHODS = {method.name: method for method in conditional.methods()}


@cache
def exact(name):
    """After 128 steps, found without sampling."""
    return exactly(propagated(METHODS[name]))


def joint(name):
    return exact(name).joint.mean


def test_covariance_aware_guidance_has_the_exact_conditional_mean():
    assert exact("covariance-aware").mean.mean < 1e-9
    for name in METHODS:
        if name != "covariance-aware":
            assert exact(name).mean.mean > 0.1


@pytest.mark.parametrize("steps", [8, 32])
def test_covariance_aware_guidance_is_sampling_the_conditional_itself(steps):
    """Its covariance is what the same sampler makes of the exact conditional, with the same error of few steps."""
    truth, mask = video(), conditional.mask()
    new = truth.conditional(mask, torch.zeros(conditional.GIVEN, dtype=torch.float64))
    whole = propagated(METHODS["covariance-aware"], steps)
    _, left = Gaussian(truth.mean, whole).regression(mask)
    torch.testing.assert_close(left, ancestral_covariance(new, steps), rtol=0, atol=1e-9)


def ancestral_covariance(data, steps):
    """Of what ancestral sampling makes of Gaussian data: in its eigenbasis, one number at a time."""
    e, vectors = data.spectrum
    variance = torch.ones_like(e)
    for t, s in grids.levels(Cosine(), steps).double().unfold(0, 2, 1):
        a_t, a_s, keep = t.sigmoid().sqrt(), s.sigmoid().sqrt(), 1 - (t - s).exp()
        v_t, v_s = (-t).sigmoid(), (-s).sigmoid()
        slope = a_t * v_s / (a_s * v_t) + keep * a_s * a_t * e / (a_t**2 * e + v_t)
        variance = slope**2 * variance + keep * v_s
    return vectors * variance @ vectors.T


def test_what_is_left_of_covariance_aware_guidance_is_the_samplers_and_goes_with_steps():
    coarse, fine = (exactly(propagated(METHODS["covariance-aware"], steps)).joint.mean for steps in (32, 128))
    assert fine < 0.002 and fine < coarse / 5


def test_the_methods_are_as_good_as_the_mathematics_says():
    assert max(METHODS, key=joint) == "replacement"
    assert min(METHODS, key=joint) == "covariance-aware"
    assert joint("replacement, + Langevin") < 0.5 * joint("replacement")
    assert joint("guidance, w_r = 1") < 0.5 * joint("replacement")
    assert joint("guidance, w_r = 2") < 0.5 * joint("guidance, w_r = 1")
    assert joint("guidance, w_r = 2, + Langevin") < 0.5 * joint("guidance, w_r = 2")
    assert joint("guidance, w_r = 3") < joint("guidance, w_r = 5")  # too much of it is as bad as too little
    assert joint("covariance-aware") < 0.1 * min(joint(name) for name in METHODS if name != "covariance-aware")


def test_the_figures():
    """Those of docs/choosing_a_sampler.md."""
    expected = {"replacement": 0.468, "guidance, w_r = 1": 0.206, "guidance, w_r = 2": 0.090, "covariance-aware": 0.001}
    assert {name: round(joint(name), 3) for name in expected} == expected


@pytest.mark.parametrize("name", ["replacement", "guidance, w_r = 2, + Langevin", "replacement, + RePaint of 5"])
def test_samples_agree_with_what_was_found_without_sampling(name):
    """Up to the distance that samples of the truth have from it."""
    steps, count = 16, 3000
    nfe, sampled = conditional.sampled(METHODS[name], 4, count, steps)
    expected = exactly(propagated(METHODS[name], steps)).joint.mean
    floor = conditional._floor(4, count).joint.mean
    assert sampled.joint.mean - floor == pytest.approx(expected, abs=2 * sampled.joint.half + floor)
    assert nfe >= steps


def test_the_floor_is_that_of_samples_of_the_truth():
    floor = conditional._floor(10, 6000)
    assert 0 < floor.joint.mean < 0.01
    assert exactly(video().covariance).joint.mean == pytest.approx(0, abs=1e-12)


def test_nothing_known_is_the_joint_model():
    """What the walk of unit vectors finds of plain sampling is what the recursion finds."""
    plain = Method("plain", lambda denoiser, known: denoiser)
    steps, new = 16, ~conditional.mask()
    expected = ancestral_covariance(video(), steps)[new][:, new]
    torch.testing.assert_close(propagated(plain, steps)[new][:, new], expected, rtol=0, atol=1e-9)


def test_frechet_distance_of_known_cases():
    a, b = 4.0 * torch.eye(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    assert conditional.frechet(a, b).item() == pytest.approx(3)  # (2 - 1)^2 for each axis
    moved = conditional.distances(video().covariance[None], torch.full((1, 16), 0.5, dtype=torch.float64))
    assert moved.joint.mean == pytest.approx(16 * 0.25)


def test_the_sampled_known_frames_are_the_truths_whatever_the_seeds():
    """Seed k is the same beside other seeds."""
    method, known = Method("plain", lambda denoiser, known: denoiser), []
    for seeds in (1, 3):
        draws = Seeds(seeds, 4)
        z = draws.normal("start", torch.empty(4 * seeds, 16, dtype=torch.float64))
        end, _ = walk(method.sampler, video(), z, grids.levels(Cosine(), 4).double(), draws.noise)
        known.append(end[:4])
    torch.testing.assert_close(known[0], known[1])


def test_curves_have_a_best_scale_between():
    curves = conditional.curves(steps=32, scales=(1.0, 3.0, 10.0))
    assert len(curves) == 3
    for curve in curves[:2]:
        assert curve.distances[1] < min(curve.distances[0], curve.distances[2])
    by_hand = exactly(propagated(Method("w", partial(conditional._both, scale=3.0)), 32)).joint.mean
    assert curves[0].distances[1] == pytest.approx(by_hand)
