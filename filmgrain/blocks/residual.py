"""Residual blocks with feature-wise modulation by the noise level (FiLM: Perez et al. 2018)."""

from collections.abc import Callable

import torch.nn.functional as nnf
from jaxtyping import Float
from torch import Tensor, nn

from .convolution import Conv3, of_both
from .norm import GroupNorm, RMSNorm


def film(x: Float[Tensor, "n c h w"], modulation: Float[Tensor, "n c2"]) -> Float[Tensor, "n c h w"]:
    """(1 + scale) x + shift, where the modulation holds scale and shift, one of each a channel."""
    scale, shift = modulation[:, :, None, None].chunk(2, dim=1)
    return x * (scale + 1) + shift


def activate(
    norm: nn.Module, x: Float[Tensor, "n c h w"], frames: int = 1, modulation: Float[Tensor, "b c2"] | None = None
) -> Float[Tensor, "n c h w"]:
    """norm -> film, by the modulation of each clip if any -> SiLU; in one pass over memory if there is a kernel."""
    if isinstance(norm, RMSNorm) and (fused := norm.fused(x, frames, modulation, silu=True)) is not None:
        return fused
    h = norm(x, frames)
    if modulation is not None:
        h = film(h, modulation.repeat_interleave(frames, dim=0))  # (b f) 2c
    return nnf.silu(h)


class ResidualBlock(nn.Module):
    """conv3 -> norm -> (1 + scale) . + shift -> SiLU -> conv3 -> norm -> SiLU, plus the input.

    `norm(channels)` makes a norm; `level` None at construction: no modulation. dropout: behind the first SiLU.
    """

    def __init__(
        self, inputs: int, outputs: int, level: int | None, norm: Callable[[int], nn.Module], dropout: float = 0.0
    ):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.modulation = None if level is None else nn.Linear(level, 2 * outputs)
        self.conv1, self.norm1 = Conv3(inputs, outputs), norm(outputs)
        self.conv2, self.norm2 = Conv3(outputs, outputs), norm(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(
        self,
        x: Float[Tensor, "n c h w"],
        level: Float[Tensor, "b d"] | None,
        frames: int,
        across: Float[Tensor, "n c3 h w"] | None = None,
    ) -> Float[Tensor, "n c2 h w"]:
        """across: further channels of the input, if any."""
        told = None if self.modulation is None or level is None else self.modulation(nnf.silu(level))
        h = self.conv1(x) if across is None else of_both(self.conv1, x, across)
        x = self.shortcut(x) if across is None else of_both(self.shortcut, x, across)
        h = activate(self.norm1, h, frames, told)
        h = activate(self.norm2, self.conv2(self.dropout(h)), frames)
        return h + x


class PreNormBlock(nn.Module):
    """norm -> SiLU -> conv3 -> norm -> (1 + scale) . + shift -> SiLU -> dropout -> conv3, plus the input.

    The block of Dhariwal & Nichol (2021, sec. 3). A new one hands its input on, since its last convolution is zero.
    scales: if not, the level is a shift alone, and comes before the second norm, as in Ho et al. (2020).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        level: int,
        groups: int,
        dropout: float,
        *,
        eps: float = 1e-5,
        scales: bool = True,
    ):
        super().__init__()
        self.scales = scales
        self.norm1, self.conv1 = GroupNorm(groups, inputs, eps), Conv3(inputs, outputs)
        self.modulation = nn.Linear(level, 2 * outputs if scales else outputs)
        self.norm2, self.conv2 = GroupNorm(groups, outputs, eps), zeroed(Conv3(outputs, outputs))
        self.dropout = nn.Dropout(dropout)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Float[Tensor, "n c h w"], level: Float[Tensor, "n d"]) -> Float[Tensor, "n c2 h w"]:
        h = self.conv1(activate(self.norm1, x))
        told = self.modulation(nnf.silu(level))
        if self.scales:
            h = activate(self.norm2, h, modulation=told)
        else:
            h = activate(self.norm2, h + told[:, :, None, None])
        return self.shortcut(x) + self.conv2(self.dropout(h))


def zeroed(layer: nn.Module) -> nn.Module:
    """The layer with every parameter zero, so that training begins without it."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
