"""RMSNorm's written-out gradient against the composite of PyTorch, to the second order."""

import pytest
import torch
import torch.nn.functional as nnf
from torch import nn

from filmgrain.blocks.norm import GroupNorm, RMSNorm


def both(x: torch.Tensor, norm: RMSNorm) -> tuple[torch.Tensor, torch.Tensor]:
    plain = nnf.rms_norm(x.permute(0, 2, 3, 1), norm.gamma.shape, norm.gamma, eps=1e-24).permute(0, 3, 1, 2)
    return norm(x), plain


def make() -> tuple[torch.Tensor, RMSNorm]:
    torch.manual_seed(0)
    norm = RMSNorm(6).double()
    norm.gamma.data.uniform_(0.5, 2)
    x = torch.randn(2, 6, 3, 5, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    return x.requires_grad_(), norm


def test_value_and_gradients_are_those_of_rms_norm():
    x, norm = make()
    ours, plain = both(x, norm)
    assert torch.allclose(ours, plain, rtol=1e-10)
    weight = torch.randn_like(ours)
    for ours_grad, plain_grad in zip(
        torch.autograd.grad((ours * weight).sum(), (x, norm.gamma)),
        torch.autograd.grad((plain * weight).sum(), (x, norm.gamma)),
        strict=True,
    ):
        assert torch.allclose(ours_grad, plain_grad, rtol=1e-5, atol=1e-6)


def test_second_derivatives_see_the_norm():
    x, norm = make()
    seconds = []
    for y in both(x, norm):
        (first,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
        seconds.append(torch.autograd.grad(first.pow(2).sum(), x)[0])
    assert torch.allclose(*seconds, rtol=1e-4, atol=1e-5)


def test_a_pixel_of_zeros_stays_zero():
    norm = RMSNorm(4)
    assert norm(torch.zeros(1, 4, 2, 2)).abs().max() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_type_of_the_input_is_kept(dtype: torch.dtype):
    x = torch.randn(1, 4, 2, 2, dtype=dtype)
    assert RMSNorm(4)(x).dtype == dtype


@pytest.mark.parametrize("groups", [2, 8])  # of 32 channels: 16 and 4 each
def test_group_norm_is_pytorchs_in_either_precision(groups: int):
    torch.manual_seed(0)
    norm, x = GroupNorm(groups, 32), torch.randn(2, 32, 3, 5).contiguous(memory_format=torch.channels_last)
    nn.init.normal_(norm.weight)
    expected = nnf.group_norm(x, groups, norm.weight, norm.bias)
    assert torch.equal(norm(x), expected)
    half = norm(x.bfloat16())
    assert half.dtype == torch.bfloat16 and (half.float() - expected).abs().max() < 0.02 * expected.abs().max()
