"""Norms: what they equal, and over what their statistics run."""

import pytest
import torch
import torch.nn.functional as nnf

from filmgrain.blocks.norm import ClipGroupNorm, LayerNorm, RMSNorm


def test_rms_norm_puts_every_pixel_on_a_sphere():
    x = torch.randn(2, 8, 3, 3) * torch.tensor([1e-6, 1e3]).reshape(2, 1, 1, 1)
    assert torch.allclose(RMSNorm(8)(x).square().mean(1), torch.ones(2, 3, 3), atol=1e-4)
    assert torch.allclose(RMSNorm(8)(x), nnf.normalize(x, dim=1) * 8**0.5, rtol=1e-4)
    assert not RMSNorm(8)(torch.zeros(1, 8, 2, 2)).any()  # and not NaN


def test_layer_norm_has_mean_0_and_variance_1_in_every_pixel():
    out = LayerNorm(8)(torch.randn(2, 8, 3, 3) * 5 + 7)
    assert out.mean(1).abs().max() < 1e-5
    assert torch.allclose(out.var(1, correction=0), torch.ones(2, 3, 3), atol=1e-4)


@pytest.mark.parametrize("frames", [1, 3])
def test_clip_group_norm_is_group_norm_of_the_clip(frames):
    x = torch.randn(2 * frames, 16, 2, 3).to(memory_format=torch.channels_last)
    clip = x.unflatten(0, (2, frames)).transpose(1, 2)  # b c f h w
    norm = ClipGroupNorm(8, 16)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    expected = nnf.group_norm(clip, 8, norm.weight, norm.bias).transpose(1, 2).flatten(0, 1)
    assert torch.allclose(norm(x, frames), expected, atol=1e-6)
