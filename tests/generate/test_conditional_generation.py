"""What conditional generation holds in memory, what its noise depends on, and what it refuses."""

import weakref

import pytest
import torch
from small_video_model import model_of

from filmgrain.generate.conditional import Conditional, Given, drawer
from filmgrain.generate.extend import extend, extend_blocks, loop
from filmgrain.generate.inpaint import inpaint
from filmgrain.generate.interpolate import interpolate
from filmgrain.generate.sampling import Config
from filmgrain.generate.tune import Trial, best, boundaries, tune
from filmgrain.generate.upscale import upscale
from filmgrain.generate.videos import generate

SHAPE = (3, 4, 8, 8)
TWO = {"config": Config(sampler="ancestral", steps=2), "how": Conditional(weight=0.01)}


@pytest.fixture(scope="module")
def model():
    return model_of(shape=SHAPE)


def clips(count=2, frames=4):
    return torch.rand(count, 3, frames, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_a_block_is_drawn_when_it_is_asked_for_and_none_is_kept(model):
    calls = []
    handle = model.register_forward_pre_hook(lambda module, inputs: calls.append(len(inputs[0])))
    blocks = extend_blocks(model, clips(), frames=200, **TWO)
    next(blocks)
    assert calls == []
    first = weakref.ref(next(blocks))
    assert calls == [2, 2]
    for _ in range(3):
        next(blocks)
    assert first() is None
    handle.remove()


def test_the_first_block_from_nothing_is_the_sample_of_that_seed(model):
    video = extend(model, None, frames=9, seed=4, **TWO)
    assert torch.equal(video[:, :4], generate(model, 1, seed=4, config=TWO["config"])[0])
    assert not torch.equal(video[:, 4:6], video[:, 6:8])  # each block has noise of its own


def test_a_batch_does_not_change_its_videos(model):
    both, alone = (extend(model, x, frames=7, **TWO) for x in (clips(), clips()[0]))
    torch.testing.assert_close(both[0], alone, rtol=0, atol=1e-4)


def test_weights_and_mode_of_the_model_are_left_as_they_were():
    model = model_of(shape=SHAPE).train()
    model.network.first.weight.requires_grad_(False)
    before = [p.requires_grad for p in model.parameters()]
    x = extend(model, clips(), frames=6, **TWO)
    assert model.training and before == [p.requires_grad for p in model.parameters()]
    assert torch.is_grad_enabled() and not x.requires_grad


def test_what_is_said_of_videos_counts():
    labelled = model_of(shape=SHAPE, classes=3)
    one, other, none = (
        extend(labelled, clips(1), frames=6, given=given, **TWO) for given in ({"label": [0]}, {"label": [2]}, None)
    )
    assert (one - other).abs().max() > 0 and (one - none).abs().max() > 0
    with pytest.raises(ValueError, match='was not trained with "caption"'):
        extend(labelled, clips(1), frames=6, given={"caption": ["a cat"]}, **TWO)


@pytest.mark.parametrize("method", ["replacement", "guidance", "both", "covariance"])
def test_what_is_known_is_there_at_the_end(model, method):
    how, mask = Conditional(method=method, weight=0.01), torch.zeros(4, 8, 8).bool()
    mask[1:, 2:5] = True
    x = inpaint(model, clips(), mask, how=how, config=TWO["config"])
    assert torch.equal(x[:, :, ~mask], clips()[:, :, ~mask]) and not torch.equal(x, clips())


def test_a_weight_of_nothing_is_replacement(model):
    none, replaced = (
        extend(model, clips(), frames=6, how=how, config=TWO["config"])
        for how in (Conditional(weight=0.0), Conditional(method="replacement"))
    )
    assert torch.equal(none, replaced)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            lambda model: extend(model, torch.zeros(3, 4, 8, 9), frames=9),
            r"the clip is \(3, 4, 8, 9\), and the model's",
        ),
        (lambda model: extend(model, clips(frames=1), frames=9), "has 1 frames, fewer than the overlap of 2"),
        (lambda model: extend(model, clips(), frames=4), "frames=4, and the clip has 4 already"),
        (lambda model: loop(model, None, frames=2), "frames=2 leaves no room to come back"),
        (lambda model: interpolate(model, clips(), times=1), "times=1"),
        (lambda model: upscale(model, torch.zeros(3, 4, 3, 3)), "the clip is 3x3, and the model makes 8x8"),
        (lambda model: inpaint(model, clips(), torch.zeros(8, 8).bool()), "true at 0"),
        (lambda model: inpaint(model, clips(), torch.zeros(4, 4).bool()), "give bool"),
        (lambda model: Conditional(iterations=0), "iterations=0"),
        (lambda model: Conditional(overlap=-1), "overlap=-1 is negative"),
        (lambda model: Conditional(augmentation=float("nan")), "augmentation=nan of a smaller copy"),
    ],
    ids=[
        "size",
        "short",
        "done",
        "no loop",
        "times",
        "no factor",
        "empty mask",
        "mask size",
        "iterations",
        "overlap",
        "nan",
    ],
)
def test_what_cannot_be_is_said_in_one_line(model, wrong, says):
    with pytest.raises(ValueError, match=says) as caught:
        wrong(model)
    assert "\n" not in str(caught.value)


def test_every_weight_is_tried_and_the_least_error_chosen(model):
    def first_half(x):
        mask = torch.zeros(1, *x.shape[2:]).bool()
        mask[:, :2] = True
        return Given(x, mask)

    trials = tune(model, clips(), first_half, **TWO, weights=(0.0, 0.01, 1e30))
    assert [trial.weight for trial in trials] == [0.0, 0.01, 1e30] and trials[-1].error == float("inf")
    x = drawer(model, Conditional(method="replacement"), TWO["config"], 0, {})(0, first_half(clips()))
    assert trials[0].error == pytest.approx((x - clips())[:, :, 2:].square().mean().sqrt().item())
    assert best(trials[:2]) == min(trials[:2], key=lambda trial: trial.error)
    with pytest.raises(ValueError, match="every weight from 3 to 3 diverged"):
        best([Trial(3.0, float("inf"), float("inf"))])
    five, ten, twenty, fifty = Trial(5, 0.3, 1), Trial(10, 0.2, 1), Trial(20, 0.1, 1), Trial(50, float("inf"), 1)
    assert best([five, ten, twenty]) == twenty
    assert best([five, ten, twenty, fifty]) == ten, "the neighbour of one that diverged"
    assert best([twenty, fifty]) == twenty
    assert boundaries(first_half(clips()).mask).tolist() == [False, True, False]
    (frozen,) = tune(model, torch.zeros(1, 3, 4, 8, 8), first_half, **TWO, weights=(0.0,))
    assert frozen.jump == float("inf")
