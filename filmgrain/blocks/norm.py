"""Norms over channels, a pixel at a time, so that no frame or pixel sees another; and the classic GroupNorm."""

import torch
import torch.nn.functional as nnf
from jaxtyping import Float
from torch import Tensor, nn

from .layout import nchw, nhwc


class RMSNorm(nn.Module):
    """x / rms(x) * gamma over channels, without shift (Zhang & Sennrich 2019)."""

    def __init__(self, channels: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: Float[Tensor, "n c h w"], frames: int = 1) -> Float[Tensor, "n c h w"]:
        return nchw(nnf.rms_norm(nhwc(x), self.gamma.shape, self.gamma.to(x.dtype), eps=1e-24))


class LayerNorm(nn.Module):
    """(x - mean) / std * gamma over channels, without shift."""

    def __init__(self, channels: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return nchw(nnf.layer_norm(nhwc(x), self.gamma.shape, self.gamma, None, eps=1e-5))


class ClipGroupNorm(nn.GroupNorm):
    """GroupNorm whose statistics are shared by all frames of a clip (so frames see each other: not for joint training)."""

    def forward(self, x: Float[Tensor, "n c h w"], frames: int = 1) -> Float[Tensor, "n c h w"]:
        n, c, h, w = x.shape
        clips = x.reshape(n // frames, frames, c, h * w).transpose(1, 2)  # b c f (h w)
        return super().forward(clips).transpose(1, 2).reshape(n, c, h, w)
