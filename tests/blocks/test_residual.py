"""Residual blocks: what they are at special weights."""

import torch
from torch import nn

from filmgrain.blocks.norm import RMSNorm
from filmgrain.blocks.residual import PreNormBlock, ResidualBlock, film, zeroed


def test_without_convolutions_it_is_its_shortcut():
    block, x = ResidualBlock(4, 4, None, RMSNorm), torch.randn(2, 4, 3, 3)
    nn.init.zeros_(block.conv2.weight)
    nn.init.zeros_(block.conv2.bias)
    assert torch.equal(block(x, None, 1), x)


def test_each_frame_of_a_clip_gets_its_own_clips_modulation():
    torch.manual_seed(0)
    block, x = ResidualBlock(4, 6, 5, RMSNorm), torch.randn(2 * 3, 4, 3, 3)  # two clips of three frames
    level = torch.randn(2, 5)
    together = block(x, level, 3)
    alone = torch.cat([block(x[i : i + 1], level[i // 3 : i // 3 + 1], 1) for i in range(6)])
    assert torch.allclose(together, alone, atol=1e-6)
    assert not torch.allclose(together, block(x, level.flip(0), 3), atol=1e-3)


def test_film_scales_and_shifts_each_channel_of_each_sample():
    x, modulation = torch.randn(2, 3, 4, 5), torch.randn(2, 6)
    changed = film(x, modulation)
    for sample in range(2):
        for channel in range(3):
            scale, shift = modulation[sample, channel], modulation[sample, channel + 3]
            assert torch.allclose(changed[sample, channel], x[sample, channel] * (1 + scale) + shift)


def test_a_new_block_with_the_norm_first_is_its_shortcut():
    x, level = torch.randn(2, 4, 3, 3), torch.randn(2, 5)
    assert torch.equal(PreNormBlock(4, 4, 5, 2, 0.0)(x, level), x)
    block = PreNormBlock(4, 6, 5, 2, 0.0)
    assert torch.equal(block(x, level), block.shortcut(x))


def test_the_level_enters_behind_the_second_norm():
    torch.manual_seed(0)
    block, x, level = PreNormBlock(4, 4, 5, 2, 0.0), torch.randn(2, 4, 3, 3), torch.randn(2, 5)
    nn.init.normal_(block.conv2.weight)
    zeroed(block.conv1)  # of which the second norm makes zeros, whatever is added before
    zeroed(block.norm2)
    _, shift = block.modulation(nn.functional.silu(level)).chunk(2, dim=1)
    constant = nn.functional.silu(shift)[:, :, None, None].expand(-1, -1, 3, 3)
    assert torch.allclose(block(x, level), x + block.conv2(constant), atol=1e-6)


def test_a_shift_alone_enters_before_the_second_norm():
    torch.manual_seed(0)
    block, x, level = PreNormBlock(4, 4, 5, 2, 0.0, scales=False), torch.randn(2, 4, 3, 3), torch.randn(2, 5)
    nn.init.normal_(block.conv2.weight)
    zeroed(block.conv1)
    assert block.modulation.out_features == 4
    told = block.modulation(nn.functional.silu(level))[:, :, None, None].expand(-1, -1, 3, 3)
    assert torch.allclose(block(x, level), x + block.conv2(nn.functional.silu(block.norm2(told))), atol=1e-6)


def test_zeroed_leaves_nothing():
    assert not any(parameter.any() for parameter in zeroed(nn.Linear(3, 2)).parameters())
