"""Attention: equal by every way of computing it, and each kind sees what it should."""

import pytest
import torch
import torch.nn.functional as nnf

from filmgrain.blocks import attention
from filmgrain.blocks.attention import (
    CrossAttention,
    LinearSpatialAttention,
    SpatialAttention,
    TemporalAttention,
    attend,
)
from filmgrain.blocks.embedding import RelativePosition, rotary


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_both_ways_to_attend_are_equal(monkeypatch, dtype):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 6, 2, 5, 8, dtype=dtype)
    bias, tolerance = torch.randn(2, 5, 5), {"atol": 1e-6 if dtype == torch.float32 else 0.03}
    short, unbiased = attend(q, k, v, bias), attend(q, k, v)
    monkeypatch.setattr(attention, "SHORT", 0)
    monkeypatch.setattr(attention, "SHORT_IN_BFLOAT16", 0)
    monkeypatch.setattr(nnf, "scaled_dot_product_attention", counted(nnf.scaled_dot_product_attention, calls := []))
    fused = attend(q, k, v, bias)
    assert calls and torch.allclose(short, fused, **tolerance)
    assert torch.allclose(unbiased, attend(q, k, v), **tolerance)
    assert not torch.allclose(short, attend(q, k, v, torch.zeros_like(bias)), atol=0.1)


def counted(function, calls):
    def call(*args, **options):
        calls.append(function)
        return function(*args, **options)

    return call


def temporal(frames, x):
    torch.manual_seed(0)
    layer, position = TemporalAttention(8, 2, 4), RelativePosition(2)
    return layer(x, frames, rotary(frames, 4, x.device), position(frames))


def test_temporal_attention_sees_one_pixel_of_all_frames_of_one_clip():
    x = torch.randn(2 * 3, 8, 2, 2, requires_grad=True)  # two clips of three frames
    (grad,) = torch.autograd.grad(temporal(3, x)[1, :, 0, 1].sum(), x)
    seen = grad.abs().sum(1).nonzero().tolist()
    assert seen == [[0, 0, 1], [1, 0, 1], [2, 0, 1]]


@pytest.mark.parametrize("kind", [SpatialAttention, LinearSpatialAttention])
def test_spatial_attention_sees_all_pixels_of_one_frame(kind):
    torch.manual_seed(0)
    x = torch.randn(3, 8, 2, 3, requires_grad=True)
    (grad,) = torch.autograd.grad(kind(8, 2, 4)(x)[1, :, 0, 1].sum(), x)
    assert grad[[0, 2]].any().item() is False and (grad[1].abs().sum(0) > 0).all()


@pytest.mark.parametrize("kind", [SpatialAttention, LinearSpatialAttention])
@torch.no_grad()
def test_spatial_attention_has_no_notion_of_place(kind):
    torch.manual_seed(0)
    layer, x, order = kind(8, 2, 4), torch.randn(1, 8, 1, 6), torch.randperm(6)
    assert torch.allclose(layer(x)[..., order], layer(x[..., order]), atol=1e-6)


@torch.no_grad()
def test_linear_attention_of_one_pixel_is_its_value():
    """softmax over one pixel is 1, so each feature of q, which sums to width^-0.5, meets the same v."""
    torch.manual_seed(0)
    layer, x = LinearSpatialAttention(8, 2, 4), torch.randn(1, 8, 1, 1)
    v = layer.qkv(x.flatten()).chunk(3)[2]
    assert torch.allclose(layer(x).flatten(), layer.out(v * 4**-0.5), atol=1e-6)


@torch.no_grad()
def test_attention_to_tokens_is_a_mean_of_their_values_and_of_the_learned_one():
    """With queries of zero all keys are alike, so the result is the mean of the values that are not masked."""
    torch.manual_seed(0)
    layer, x, tokens = CrossAttention(8, 2, 4, 3), torch.randn(2, 8, 2, 3), torch.randn(2, 5, 3)
    torch.nn.init.zeros_(layer.q.weight)
    torch.nn.init.normal_(layer.rest)
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])
    values = torch.cat([layer.rest[8:].expand(2, 1, 8), tokens @ layer.kv.weight[8:].T], dim=1)
    for real, given in ((torch.tensor([6, 3]), mask), (torch.tensor([6, 6]), None)):
        mean = torch.stack([values[i, :n].mean(0) for i, n in enumerate(real)])
        expected = layer.out(mean)[:, :, None, None].expand(-1, -1, 2, 3)
        assert torch.allclose(layer(x, tokens, given), expected, atol=1e-6)
