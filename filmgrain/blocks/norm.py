"""Norms over channels, a pixel at a time, so that no frame or pixel sees another; and the classic GroupNorm.

RMSNorm has a kernel (kernels/rms.py), which can do what comes behind it in the same pass: it is `fused` with it.
"""

from typing import Any

import torch
import torch.nn.functional as nnf
from jaxtyping import Float
from torch import Tensor, nn

from ..kernels import rms
from ..kernels.affine import affine
from .layout import nchw, nhwc


class RMSNorm(nn.Module):
    """x / rms(x) * gamma over channels, without shift (Zhang & Sennrich 2019)."""

    def __init__(self, channels: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: Float[Tensor, "n c h w"], frames: int = 1) -> Float[Tensor, "n c h w"]:
        fused = self.fused(x, frames)
        return nchw(_RMSNorm.apply(nhwc(x), self.gamma)) if fused is None else fused

    def fused(
        self, x: Float[Tensor, "n c h w"], frames: int, modulation: Tensor | None = None, silu: bool = False
    ) -> Float[Tensor, "n c h w"] | None:
        """Itself, then film, then SiLU by its kernel; None where that cannot be. See residual.activate."""
        pixels = nhwc(x)
        if not rms.usable(pixels):
            return None
        return nchw(rms.rms_norm(pixels, *affine(self.gamma, modulation), silu))


class _RMSNorm(torch.autograd.Function):
    """The same with its gradient written out: it saves x alone and takes 1.2 to 2.4 times less time than the composite.

    With r = 1 / rms(x) and t = dy x:  dgamma = sum r t,  dx = r (gamma dy - x r^2 mean(gamma t)).
    """

    @staticmethod
    def forward(ctx: Any, x: Float[Tensor, "*n c"], gamma: Float[Tensor, " c"]) -> Float[Tensor, "*n c"]:
        ctx.save_for_backward(x, gamma)
        return (x * _inverse_rms(x)).mul_(gamma.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, dy: Float[Tensor, "*n c"]) -> tuple[Tensor, Tensor]:
        x, gamma = ctx.saved_tensors
        r, g = _inverse_rms(x), gamma.to(x.dtype)  # r anew, so that second derivatives see that it depends on x
        t = dy * x
        dgamma = r.reshape(1, -1) @ t.reshape(-1, len(gamma))
        mean = t @ g.unsqueeze(1) / len(gamma)
        dx = (dy * g - x * (mean * r * r)) * r
        return dx, dgamma.reshape_as(gamma).to(gamma.dtype)


def _inverse_rms(x: Float[Tensor, "*n c"]) -> Float[Tensor, "*n 1"]:
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return (x.shape[-1] ** 0.5 / norm.clamp(min=1e-12)).to(x.dtype)


class LayerNorm(nn.Module):
    """(x - mean) / std * gamma over channels, without shift."""

    def __init__(self, channels: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return nchw(nnf.layer_norm(nhwc(x), self.gamma.shape, self.gamma, None, eps=1e-5))


class GroupNorm(nn.GroupNorm):
    """PyTorch's, but in float32 where its bfloat16 kernel for a processor crawls: below 16 channels a group.

    There, in channels-last memory, forward and backward take 2 to 3 times less time so.
    """

    def forward(self, x: Float[Tensor, "n c h w"], frames: int = 1) -> Float[Tensor, "n c h w"]:
        narrow = self.num_channels < 16 * self.num_groups
        if narrow and x.dtype == torch.bfloat16 and x.device.type == "cpu":
            return super().forward(x.float()).to(x.dtype)
        return super().forward(x)


class ClipGroupNorm(nn.GroupNorm):
    """GroupNorm over all frames of a clip together; so frames see each other, which joint training cannot have."""

    def forward(self, x: Float[Tensor, "n c h w"], frames: int = 1) -> Float[Tensor, "n c h w"]:
        n, c, h, w = x.shape
        clips = x.reshape(n // frames, frames, c, h * w).transpose(1, 2)  # b c f (h w)
        return super().forward(clips).transpose(1, 2).reshape(n, c, h, w)
