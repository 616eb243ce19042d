"""Attention over space and over time. Each layer maps features (b f) c h w to an update of the same shape."""

import torch
import torch.nn.functional as nnf
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..kernels import linear_attention, temporal_attention
from .embedding import Turn, rotate
from .layout import nchw, nhwc
from .linear import Linear

# Up to so many keys two matrix products beat the fused kernel on a processor: in float32 by about 2, in bfloat16 by
# 2 to 5 in training.
SHORT, SHORT_IN_BFLOAT16 = 32, 1024


class LinearSpatialAttention(nn.Module):
    """Attention whose cost is linear in pixels: softmax(q) (softmax(k)^T v), a frame at a time (Shen et al. 2018)."""

    def __init__(self, channels: int, heads: int, width: int):
        super().__init__()
        self.heads = heads
        self.qkv = Linear(channels, 3 * heads * width, bias=False)
        self.out = Linear(heads * width, channels)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        x, weights = nhwc(x), (self.qkv.weight, self.out.weight)
        if linear_attention.whole_usable(x, *weights):
            return nchw(linear_attention.whole(x, *weights, self.out.bias, self.heads))
        qkv = self.qkv(x)
        if linear_attention.usable(qkv):
            return nchw(linear_attention.attended(qkv, self.heads, self.out.weight, self.out.bias))
        return nchw(self.out(attend_linearly(qkv, self.heads)))


def attend_linearly(qkv: Float[Tensor, "n h w c"], heads: int) -> Float[Tensor, "n h w e"]:
    """softmax(q) (softmax(k)^T v) / sqrt(d) of each frame and head."""
    q, k, v = rearrange(qkv, "n h w (three k d) -> three n k (h w) d", three=3, k=heads)
    q = q.softmax(dim=-1) * q.shape[-1] ** -0.5  # over features
    k = k.softmax(dim=-2)  # over pixels
    out = q @ (k.transpose(-2, -1) @ v)
    return rearrange(out, "n k (h w) d -> n h w (k d)", h=qkv.shape[1])


class SpatialAttention(nn.Module):
    """Full attention among the pixels of a frame."""

    def __init__(self, channels: int, heads: int, width: int, bias: bool = False):
        super().__init__()
        self.heads = heads
        self.qkv = Linear(channels, 3 * heads * width, bias=bias)
        self.out = Linear(heads * width, channels, bias=bias)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        _, _, height, width = x.shape
        q, k, v = rearrange(self.qkv(nhwc(x)), "n h w (three k d) -> three n k (h w) d", three=3, k=self.heads)
        out = attend(q, k, v)
        return nchw(self.out(rearrange(out, "n k (h w) d -> n h w (k d)", h=height, w=width)))


class CrossAttention(nn.Module):
    """Attention of pixels to tokens (Rombach et al. 2022, sec. 3.3), and to one learned token that is always there.

    So a sample all of whose tokens are masked attends to that one, where a softmax over nothing would be NaN.
    """

    def __init__(self, channels: int, heads: int, width: int, tokens: int):
        super().__init__()
        self.heads = heads
        self.q = Linear(channels, heads * width, bias=False)
        self.kv = nn.Linear(tokens, 2 * heads * width, bias=False)
        self.rest = nn.Parameter(torch.zeros(2 * heads * width))  # key and value of the learned token
        self.out = Linear(heads * width, channels)

    def forward(
        self, x: Float[Tensor, "b c h w"], tokens: Float[Tensor, "b n e"], mask: Bool[Tensor, "b n"] | None
    ) -> Float[Tensor, "b c h w"]:
        b, _, height, width = x.shape
        q = rearrange(self.q(nhwc(x)), "b h w (k d) -> b k (h w) d", k=self.heads)
        kv = self.kv(tokens)
        kv = torch.cat([self.rest.to(kv).expand(b, 1, -1), kv], dim=1)
        k, v = rearrange(kv, "b n (two k d) -> two b k n d", two=2, k=self.heads)
        bias = None
        if mask is not None:
            real = nnf.pad(mask, (1, 0), value=True)[:, None, None]  # b 1 1 n
            bias = torch.zeros_like(real, dtype=q.dtype).masked_fill(~real, -torch.inf)
        out = attend(q, k, v, bias)
        return nchw(self.out(rearrange(out, "b k (h w) d -> b h w (k d)", h=height, w=width)))


class TemporalAttention(nn.Module):
    """Attention among a clip's frames, a pixel at a time, with rotary and relative positions (Ho et al. 2022).

    A bias of more heads than its own is that of its first ones.
    """

    def __init__(self, channels: int, heads: int, width: int):
        super().__init__()
        self.heads = heads
        self.qkv = Linear(channels, 3 * heads * width, bias=False)
        self.out = Linear(heads * width, channels, bias=False)

    def forward(
        self, x: Float[Tensor, "n c h w"], frames: int, turn: Turn, bias: Float[Tensor, "k f f"]
    ) -> Float[Tensor, "n c h w"]:
        x, bias, weights = nhwc(x), bias[..., : self.heads, :, :], (self.qkv.weight, self.out.weight)
        if temporal_attention.whole_usable(x, *weights, turn.cos):
            return nchw(temporal_attention.whole(x, *weights, bias, turn.cos, turn.sin))
        qkv = self.qkv(x)
        if temporal_attention.usable(qkv, turn.cos):
            return nchw(temporal_attention.attended(qkv, turn.cos, turn.sin, bias, self.out.weight))
        return nchw(self.out(among_frames(qkv, turn, bias)))


def among_frames(
    qkv: Float[Tensor, "n h w c"], turn: Turn, bias: Float[Tensor, "*b k f f"]
) -> Float[Tensor, "n h w e"]:
    """Attention of each pixel to itself in all frames of its clip; q and k turned by their frame."""
    heads, frames, (_, height, width, _) = bias.shape[-3], len(turn.cos), qkv.shape
    q, k, v = rearrange(qkv, "(b f) h w (three k d) -> three (b h w) k f d", three=3, f=frames, k=heads)
    bias = bias if bias.ndim == 3 else bias.repeat_interleave(height * width, dim=0)
    out = attend(rotate(q, turn), rotate(k, turn), v, bias)
    return rearrange(out, "(b h w) k f d -> (b f) h w (k d)", h=height, w=width)


def apart(bias: Float[Tensor, "k f f"], images: int) -> Float[Tensor, "k f2 f2"]:
    """The bias of a clip's frames with `images` behind them: each of these sees itself alone, and none sees it."""
    beside = bias.new_full((images, images), -torch.inf).fill_diagonal_(0)
    wide = nnf.pad(bias, (0, images, 0, images), value=-torch.inf)
    wide[:, -images:, -images:] = beside
    return wide


def attend(
    q: Float[Tensor, "*n i d"],
    k: Float[Tensor, "*n j d"],
    v: Float[Tensor, "*n j d"],
    bias: Float[Tensor, "*m"] | None = None,
) -> Float[Tensor, "*n i d"]:
    """softmax(q k^T / sqrt(d) + bias) v, by whichever way is the faster one here."""
    short = SHORT_IN_BFLOAT16 if q.dtype == torch.bfloat16 else SHORT
    if q.device.type == "cpu" and k.shape[-2] <= short:
        scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
        return (scores if bias is None else scores + bias.to(q)).softmax(dim=-1) @ v
    return nnf.scaled_dot_product_attention(q, k, v, attn_mask=None if bias is None else bias.to(q))


class Residual(nn.Module):
    """x + layer(norm(x), ...)."""

    def __init__(self, norm: nn.Module, layer: nn.Module):
        super().__init__()
        self.norm, self.layer = norm, layer

    def forward(self, x: Float[Tensor, "n c h w"], *context: object) -> Float[Tensor, "n c h w"]:
        return x + self.layer(self.norm(x), *context)
