"""Sampling in bfloat16: what is lowered, what stays, and how far samples move."""

import pytest
import torch
from small_video_model import SHAPE, model_of
from torch import nn

from filmgrain import runs
from filmgrain.generate.sampling import Config
from filmgrain.generate.videos import generate

HALF = torch.bfloat16


@pytest.fixture(scope="module")
def lowered():
    return model_of().eval().lowered(HALF)


def test_weights_of_products_are_kept_lowered_and_all_others_are_not(lowered):
    products = {
        id(parameter)
        for module in lowered.modules()
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d))
        for parameter in module.parameters()
    }
    kinds = {(id(parameter) in products, parameter.dtype) for parameter in lowered.parameters()}
    assert kinds == {(True, HALF), (False, torch.float32)}


@torch.no_grad()
def test_the_network_computes_in_it_and_x0_is_float32(lowered):
    model, seen = model_of().eval(), []
    z, logsnr = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0)), torch.tensor([-2.0, 2.0])
    handle = lowered.network.middle1.register_forward_hook(lambda module, inputs, h: seen.append(h.dtype))
    x0, exact = lowered(z, logsnr, lowered.null(2)), model(z, logsnr, model.null(2))
    handle.remove()
    assert seen == [HALF] and x0.dtype == torch.float32
    error = (x0 - exact).square().mean().sqrt() / exact.std()
    assert 0 < error < 0.05


@torch.no_grad()
def test_weights_that_are_kept_lowered_are_those_that_autocast_would_make(lowered):
    model = model_of().eval()
    z, logsnr = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0)), torch.tensor([-2.0, 2.0])
    with torch.autocast("cpu", HALF):
        expected = model(z, logsnr, model.null(2))
    assert torch.equal(lowered(z, logsnr, lowered.null(2)), expected)


def test_a_batch_changes_samples_by_no_more_than_rounding(lowered):
    config = Config(steps=4)
    alone, together = (generate(lowered, 3, config=config, batch=batch) for batch in (1, 3))
    exact = generate(model_of(), 3, config=config)
    between, lost = ((x - y).square().mean().sqrt() for x, y in ((alone, together), (alone, exact)))
    assert between <= lost < 0.1 * exact.std()


def test_float32_is_the_model_as_it_was():
    model = model_of()
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    assert model.lowered(torch.float32) is model
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())


def test_another_precision_is_refused_in_one_line(tmp_path):
    with pytest.raises(ValueError, match='precision="half" is unknown; use auto, float32, bfloat16'):
        runs.load_checkpoint(tmp_path, precision="half")
