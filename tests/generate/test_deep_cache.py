"""Deep levels kept from step to step: what is computed, what is remembered, and of whom."""

import pytest
import torch
from small_video_model import SHAPE, model_of

from filmgrain import rooms
from filmgrain.diffusion.draw import Draw
from filmgrain.generate.deep_cache import cached
from filmgrain.generate.sampling import Config, denoiser_of, guided
from filmgrain.generate.videos import generate

samplers = pytest.mark.parametrize("sampler", ["ancestral", "heun", "unipc"])


@pytest.fixture(scope="module")
def model():
    return model_of()


@pytest.fixture(scope="module")
def labelled():
    return model_of(classes=3)


def calls_of(module: torch.nn.Module) -> list[int]:
    """To which the size of every batch that reaches it is added."""
    calls: list[int] = []
    module.register_forward_pre_hook(lambda _, inputs: calls.append(len(inputs[0])))
    return calls


@samplers
def test_the_deep_levels_are_computed_at_every_third_call_of_each_batch(sampler):
    model, config = model_of(), Config(sampler=sampler, steps=4, cache=3)
    finest, deepest = calls_of(model.network.downs[0]), calls_of(model.network.middle1)
    generate(model, 3, config=config, batch=2)
    assert len(finest) == 2 * config.nfe
    assert len(deepest) == 2 * -(-config.nfe // 3)


def test_no_cache_is_the_model_itself(model):
    assert cached(model, 1) is model
    assert torch.equal(generate(model, 1, config=Config(steps=4, cache=1)), generate(model, 1, config=Config(steps=4)))


def test_it_changes_samples_but_not_much(model):
    """And the less the oftener: of every step, of half of them, of an eighth."""
    exact, often, seldom = (generate(model, 1, config=Config(steps=16, cache=every)) for every in (1, 2, 8))
    errors = [(x - exact).square().mean().sqrt().item() for x in (often, seldom)]
    assert 0 < errors[0] < errors[1] < 0.5 * exact.std()


@samplers
def test_the_batch_does_not_change_the_samples(model, sampler):
    config = Config(sampler=sampler, steps=4, cache=3)
    alone, together = (generate(model, 3, config=config, batch=batch) for batch in (1, 3))
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-4)


@torch.no_grad()
def test_no_condition_is_remembered_as_another(labelled):
    """At one z, where there is nothing to approximate, guidance is as it is without a cache."""
    z, logsnr = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(1)), torch.zeros(2)
    cond = labelled.condition({"label": [0, 2]}, Draw(0, (0, 1)))
    plain, kept = (guided(labelled, Config(scale=4.0, cache=every), labelled.null(2)) for every in (1, 9))
    for _ in range(3):
        torch.testing.assert_close(kept(z, logsnr, cond), plain(z, logsnr, cond), rtol=0, atol=1e-5)
    assert (plain(z, logsnr, cond) - labelled(z, logsnr, cond)).abs().max() > 1e-2


def test_guidance_in_an_interval_keeps_what_is_in_time(labelled):
    config = Config(steps=6, scale=2.0, interval=(-2.0, 3.0), cache=2)
    x = generate(labelled, 2, config=config, given={"label": [0, 1]})
    far = generate(labelled, 2, config=Config(steps=6, scale=2.0, interval=(-2.0, 3.0)), given={"label": [0, 1]})
    assert x.isfinite().all() and (x - far).abs().max() > 0


def test_the_network_is_left_without_a_memory(model):
    denoiser = denoiser_of(model, Config(cache=2), 1)
    denoiser(torch.zeros(1, *SHAPE), torch.zeros(1), model.null(1))
    assert model.network.memory is None
    with pytest.raises(RuntimeError):
        denoiser(torch.zeros(1, 7, 3, 8, 12), torch.zeros(1), model.null(1))
    assert model.network.memory is None


def test_what_cannot_be_cached_is_refused():
    with pytest.raises(ValueError, match="rk45 goes by its error"):
        Config(sampler="rk45", cache=2)
    with pytest.raises(ValueError, match="cache=0"):
        Config(cache=0)
    simple = rooms.find("networks", "simple_unet")
    forgetful = simple.Network(simple.Config())
    with pytest.raises(ValueError, match="simple_unet keeps nothing") as caught:
        cached(_model_with(forgetful), 2)
    assert "\n" not in str(caught.value)


def _model_with(network):
    model = model_of()
    model.network = network
    return model
