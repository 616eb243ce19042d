"""Samples a batch at a time: the same as all at once, and never more than one batch held."""

import weakref

import pytest
import torch
from small_video_model import SHAPE, model_of

from filmgrain.generate.sampling import Config
from filmgrain.generate.videos import batches, generate

TWO_STEPS = Config(steps=2)


@pytest.fixture(scope="module")
def model():
    return model_of()


def test_they_are_the_samples_of_generate(model):
    parts = list(batches(model, 5, seed=3, config=TWO_STEPS, batch=2))
    assert [ids for ids, _ in parts] == [range(2), range(2, 4), range(4, 5)]
    assert torch.equal(torch.cat([x for _, x in parts]), generate(model, 5, seed=3, config=TWO_STEPS, batch=2))


def test_none_is_drawn_before_it_is_asked_for_and_none_is_kept(model):
    calls = []
    handle = model.register_forward_pre_hook(lambda module, inputs: calls.append(len(inputs[0])))
    drawn = batches(model, 6, config=TWO_STEPS, batch=2)
    assert calls == []
    first = weakref.ref(next(drawn)[1])
    assert calls == [2, 2]
    next(drawn)
    assert first() is None
    handle.remove()


def test_the_model_is_left_as_it_was_by_who_stops_early():
    model = model_of().train()
    drawn = batches(model, 4, config=TWO_STEPS, batch=2)
    next(drawn)
    drawn.close()
    assert model.training


def test_gradients_are_not_kept_and_the_callers_own_go_on(model):
    for _, x in batches(model, 2, config=TWO_STEPS, batch=1):
        assert torch.is_grad_enabled() and x.shape == (1, *SHAPE) and not x.requires_grad
