"""Every sampler x every guidance x every prediction: they know nothing of each other, so all must go together.

Where a guidance is set to do nothing, or to do what another one does, the walk is the same, whatever the sampler and
the prediction. In float64, so that this can be held tightly.
"""

import inspect
import math

import pytest
import torch
from guided_toys import CLIP, Toy, batch

from filmgrain import rooms
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.draw import Draw
from filmgrain.diffusion.prediction import PREDICTIONS
from filmgrain.guidance.classifier_free import Always, ClassifierFree
from filmgrain.guidance.classifier_gradient import ClassifierGradient
from filmgrain.guidance.covariance import Covariance
from filmgrain.guidance.dynamic_threshold import DynamicThreshold
from filmgrain.guidance.interval import Interval
from filmgrain.guidance.known import Known
from filmgrain.guidance.measurements import Downsample, Frames
from filmgrain.guidance.reconstruction import Reconstruction
from filmgrain.guidance.rescale import Rescale
from filmgrain.guidance.static_threshold import StaticThreshold

NULL, SCALE = Cond(vector=torch.zeros(1, 2)), 3.0
TRUTH = batch(1, seed=5)[0].clamp(-1, 1)
FIRST = torch.tensor([True, False]).reshape(1, 2, 1, 1)  # of two frames, the first
SMALL = Downsample(2)
LEVELS = torch.tensor([-6.0, -2.0, 0.5, 3.0, math.inf], dtype=torch.float64)
OPTIONS = {"rk45": {"rtol": 0.1, "atol": 0.3}}  # fewer steps
NOT_WRAPPERS = {"gradients", "measurements"}


def free(model, scale=SCALE, **options):
    return ClassifierFree(model, Always(model, NULL), scale, **options)


def towards_zero(z, logsnr, cond):
    return -z.square().flatten(1).sum(1)


GUIDANCE = {  # (module, what): model -> Denoiser
    ("classifier_free", "guided"): free,
    ("classifier_free", "none"): lambda m: free(m, 1.0),
    ("classifier_free", "doubled"): lambda m: free(m, doubled=True),
    ("classifier_free", "negative"): lambda m: ClassifierFree(m, Always(m, Cond(vector=torch.ones(1, 2))), SCALE),
    ("classifier_free", "auto"): lambda m: ClassifierFree(m, Toy("x0", seed=1), SCALE),
    ("interval", "middle"): lambda m: Interval(free(m), m, low=-3.0, high=2.0),
    ("interval", "all"): lambda m: Interval(free(m), m),
    ("interval", "nowhere"): lambda m: Interval(free(m), m, low=50.0),
    ("rescale", "rescaled"): lambda m: Rescale(free(m)),
    ("rescale", "none"): lambda m: Rescale(free(m), 0.0),
    ("static_threshold", "clipped"): lambda m: StaticThreshold(m, 0.5),
    ("static_threshold", "none"): lambda m: StaticThreshold(m, 1e9),
    ("dynamic_threshold", "clipped"): lambda m: DynamicThreshold(free(m)),
    ("classifier_gradient", "guided"): lambda m: ClassifierGradient(m, towards_zero, 0.1),
    ("classifier_gradient", "none"): lambda m: ClassifierGradient(m, towards_zero, 0.0),
    ("known", "frame"): lambda m: Known(m, TRUTH, FIRST),
    ("known", "none"): lambda m: Known(m, TRUTH, torch.tensor(False)),
    ("reconstruction", "small"): lambda m: Reconstruction(m, SMALL, SMALL(TRUTH), 1.0),
    ("reconstruction", "none"): lambda m: Reconstruction(m, SMALL, SMALL(TRUTH), 0.0),
    ("covariance", "frame"): lambda m: Covariance(m, Frames((0,)), TRUTH[:, :, :1], noise=0.1, iterations=2),
    ("known", "of the paper, free and clipped"): lambda m: Known(
        Reconstruction(StaticThreshold(free(m)), Frames((0,)), TRUTH[:, :, :1], 2.0), TRUTH, FIRST
    ),
    ("interval", "of all at once"): lambda m: Interval(DynamicThreshold(Rescale(free(m, doubled=True))), m, low=-3.0),
}
SAME = {  # a guidance: one that gives the same walk, and None is no guidance
    ("classifier_free", "none"): None,
    ("classifier_free", "doubled"): ("classifier_free", "guided"),
    ("interval", "all"): ("classifier_free", "guided"),
    ("interval", "nowhere"): None,
    ("rescale", "none"): ("classifier_free", "guided"),
    ("static_threshold", "none"): None,
    ("classifier_gradient", "none"): None,
    ("known", "none"): None,
    ("reconstruction", "none"): None,
}


def walk(name, denoiser):
    """All steps from noise to the data."""
    sample = rooms.find("samplers", name).sample
    z, _, cond = batch(seed=3, dtype=torch.float64)
    noise = {"noise": Draw(0, (0, 1)).noise} if "noise" in inspect.signature(sample).parameters else {}
    return list(sample(denoiser, z, LEVELS, cond, **noise, **OPTIONS.get(name, {})))


def test_every_wrapper_is_here():
    assert {module for module, _ in GUIDANCE} == set(rooms.names("guidance")) - NOT_WRAPPERS


@pytest.mark.parametrize("name", rooms.names("samplers"))
def test_it_goes_with_every_guidance_and_every_prediction(name):
    for prediction in PREDICTIONS:
        walks = {None: walk(name, Toy(prediction))}
        for key, wrap in GUIDANCE.items():
            walks[key] = walk(name, wrap(Toy(prediction)))
            for step in walks[key]:
                for tensor in (step.z, step.x0):
                    assert tensor.isfinite().all() and tensor.shape == (2, *CLIP), (prediction, key)
                    assert tensor.dtype == torch.float64 and not tensor.requires_grad, (prediction, key)
        for key, other in SAME.items():
            same = walks[key][-1].z, walks[other][-1].z
            torch.testing.assert_close(*same, rtol=0, atol=1e-9, msg=lambda text, at=(prediction, key): f"{at}: {text}")
        for key in GUIDANCE.keys() - SAME.keys():
            assert not torch.allclose(walks[key][-1].z, walks[None][-1].z, atol=1e-3), (prediction, key)
        for key in (("known", "frame"), ("known", "of the paper, free and clipped")):
            assert torch.equal(walks[key][-1].z[:, :, 0], TRUTH[:, :, 0].expand(2, 3, 4, 6).double()), (prediction, key)


@pytest.mark.parametrize("name", rooms.names("samplers"))
def test_guided_in_eps_or_in_x0_the_walk_is_the_same(name):
    """The network's output guided, as others do, and our guidance of x0."""

    class InEps(Toy):
        def __call__(self, z, logsnr, cond):
            network, null = self.network, NULL.expand(len(z))
            self.network = lambda *given: torch.lerp(network(z, logsnr, null), network(*given), SCALE)
            try:
                return super().__call__(z, logsnr, cond)
            finally:
                self.network = network

    for mine, theirs in zip(walk(name, free(Toy("eps"))), walk(name, InEps("eps")), strict=True):
        torch.testing.assert_close(mine.z, theirs.z, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", rooms.names("samplers"))
def test_a_walk_under_inference_mode_is_the_same(name):
    """Mistake 23, through the sampler."""
    for key in (
        ("known", "of the paper, free and clipped"),
        ("covariance", "frame"),
        ("classifier_gradient", "guided"),
    ):
        expected = walk(name, GUIDANCE[key](Toy()))
        with torch.inference_mode():
            steps = walk(name, GUIDANCE[key](Toy()))
        torch.testing.assert_close(steps[-1].z, expected[-1].z, rtol=0, atol=1e-9)
