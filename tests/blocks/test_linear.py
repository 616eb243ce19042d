"""Linear layers as convolutions of single pixels."""

import pytest
import torch
from torch import Tensor, nn

from filmgrain.blocks.linear import Linear
from filmgrain.kernels.product import MANY


def layers(inputs: int, outputs: int, bias: bool) -> tuple[nn.Linear, Linear]:
    torch.manual_seed(0)
    plain, ours = nn.Linear(inputs, outputs, bias), Linear(inputs, outputs, bias)
    ours.load_state_dict(plain.state_dict())
    return plain, ours


def results(layer: nn.Linear, x: Tensor) -> list[Tensor]:
    """Output, and the gradients of input, weight and bias."""
    x = x.clone().requires_grad_()
    out = layer(x)
    weights = torch.linspace(-1, 1, out.numel()).reshape(out.shape)
    return [out, *torch.autograd.grad((out * weights).sum(), [x, *layer.parameters()])]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 7), (7, 1), (12, 40), (32, 96)])
@pytest.mark.parametrize("shape", [(MANY,), (3, 8, 29), (2, MANY // 2, 1), (5,), (0, 3)])
def test_output_and_gradients_are_those_of_the_plain_layer(inputs, outputs, bias, shape):
    plain, ours = layers(inputs, outputs, bias)
    x = torch.randn(*shape, inputs, generator=torch.Generator().manual_seed(1))
    for expected, found in zip(results(plain, x), results(ours, x), strict=True):
        assert found.shape == expected.shape and found.dtype == expected.dtype
        scale = expected.detach().abs().max() if expected.numel() else 1
        assert torch.allclose(found, expected, rtol=0, atol=1e-5 * float(scale))


def test_many_rows_are_convolved_and_few_are_not(monkeypatch):
    _, ours = layers(4, 4, True)
    called = []
    convolve = torch.nn.functional.conv2d
    monkeypatch.setattr(torch.nn.functional, "conv2d", lambda *of: called.append(1) or convolve(*of))
    ours(torch.randn(MANY - 1, 4))
    ours.double()(torch.randn(MANY, 4, dtype=torch.float64))
    with torch.autocast("cpu", torch.bfloat16):
        ours.float()(torch.randn(MANY, 4))
    assert not called
    ours(torch.randn(MANY, 4))
    assert called


def test_input_of_any_layout_and_second_derivatives():
    plain, ours = layers(6, 5, True)
    x = torch.randn(6, 8, MANY, dtype=torch.float32).permute(1, 2, 0)
    assert torch.allclose(ours(x), plain(x), atol=1e-5)
    x = torch.randn(MANY, 6, requires_grad=True)
    found, expected = (
        torch.autograd.grad(
            torch.autograd.grad(layer(x).pow(3).sum(), x, create_graph=True)[0].square().sum(), layer.weight
        )[0]
        for layer in (ours, plain)
    )
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
