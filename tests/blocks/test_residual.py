"""The residual block: what it is at special weights."""

import torch
from torch import nn

from filmgrain.blocks.norm import RMSNorm
from filmgrain.blocks.residual import ResidualBlock


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
