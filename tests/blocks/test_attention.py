"""Attention: equal by every way of computing it, and each kind sees what it should."""

import pytest
import torch
import torch.nn.functional as nnf

from filmgrain.blocks import attention
from filmgrain.blocks.attention import LinearSpatialAttention, SpatialAttention, TemporalAttention, attend
from filmgrain.blocks.embedding import RelativePosition, rotary


def test_both_ways_to_attend_are_equal(monkeypatch):
    q, k, v = torch.randn(3, 6, 2, 5, 8)
    bias = torch.randn(2, 5, 5)
    short = attend(q, k, v, bias)
    monkeypatch.setattr(attention, "SHORT", 0)
    monkeypatch.setattr(nnf, "scaled_dot_product_attention", counted(nnf.scaled_dot_product_attention, calls := []))
    fused = attend(q, k, v, bias)
    assert calls and torch.allclose(short, fused, atol=1e-6)
    assert not torch.allclose(short, attend(q, k, v, torch.zeros_like(bias)), atol=1e-2)


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
