"""Half and twice the height and width, and sizes that do not divide."""

import torch.nn.functional as nnf
from jaxtyping import Float
from torch import Tensor, nn

from .convolution import Conv3


def down(channels: int) -> nn.Module:
    return nn.Conv2d(channels, channels, 4, stride=2, padding=1)


def up(channels: int) -> nn.Module:
    return nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1)


class Half(nn.Module):
    """A convolution of stride 2 (Ho et al. 2020, app. B).

    corner: zeros lie below and at the right alone, as TensorFlow has it and so the authors' own code, not all round.
    """

    def __init__(self, channels: int, corner: bool = False):
        super().__init__()
        self.corner = corner
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=0 if corner else 1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
        return self.conv(nnf.pad(x, (0, 1, 0, 1)) if self.corner else x)


class Double(nn.Module):
    """Every pixel four times, then a convolution: no checkerboard (Odena et al. 2016)."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = Conv3(channels, channels)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
        return self.conv(nnf.interpolate(x, scale_factor=2.0, mode="nearest"))


def _missing(size: int, multiple: int) -> tuple[int, int]:
    """How much to add before and after, so that `size` becomes a multiple."""
    missing = -size % multiple
    return missing // 2, missing - missing // 2


def pad_to(x: Float[Tensor, "n c h w"], multiple: int) -> tuple[Float[Tensor, "n c h2 w2"], tuple[slice, slice]]:
    """x with its edges repeated until height and width are multiples, and the slices that undo it."""
    (top, bottom), (left, right) = (_missing(size, multiple) for size in x.shape[-2:])
    inside = slice(top, top + x.shape[-2]), slice(left, left + x.shape[-1])
    return (nnf.pad(x, (left, right, top, bottom), mode="replicate") if top + bottom + left + right else x), inside
