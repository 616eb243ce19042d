"""The residual block with feature-wise modulation by the noise level (FiLM: Perez et al. 2018)."""

from collections.abc import Callable

import torch.nn.functional as nnf
from jaxtyping import Float
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """conv3 -> norm -> (1 + scale) . + shift -> SiLU -> conv3 -> norm -> SiLU, plus the input.

    `norm(channels)` makes a norm; `level` None at construction leaves the modulation out.
    """

    def __init__(self, inputs: int, outputs: int, level: int | None, norm: Callable[[int], nn.Module]):
        super().__init__()
        self.modulation = None if level is None else nn.Linear(level, 2 * outputs)
        self.conv1, self.norm1 = nn.Conv2d(inputs, outputs, 3, padding=1), norm(outputs)
        self.conv2, self.norm2 = nn.Conv2d(outputs, outputs, 3, padding=1), norm(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(
        self, x: Float[Tensor, "n c h w"], level: Float[Tensor, "b d"] | None, frames: int
    ) -> Float[Tensor, "n c2 h w"]:
        h = self.norm1(self.conv1(x), frames)
        if self.modulation is not None and level is not None:
            modulation = self.modulation(nnf.silu(level)).repeat_interleave(frames, dim=0)  # (b f) 2c
            scale, shift = modulation[:, :, None, None].chunk(2, dim=1)
            h = h * (scale + 1) + shift
        h = self.norm2(self.conv2(nnf.silu(h)), frames)
        return nnf.silu(h) + self.shortcut(x)
