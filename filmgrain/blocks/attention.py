"""Attention over space and over time. Each layer maps features (b f) c h w to an update of the same shape."""

import torch.nn.functional as nnf
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from .embedding import Turn, rotate
from .layout import nchw, nhwc

SHORT = 32  # frames; up to here two matrix products beat the fused kernel on a CPU, by about 2


class LinearSpatialAttention(nn.Module):
    """Attention whose cost is linear in pixels: softmax(q) (softmax(k)^T v), a frame at a time (Shen et al. 2018)."""

    def __init__(self, channels: int, heads: int, width: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * heads * width, bias=False)
        self.out = nn.Linear(heads * width, channels)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        _, _, height, width = x.shape
        qkv = self.qkv(nhwc(x))
        q, k, v = rearrange(qkv, "n h w (three k d) -> three n k (h w) d", three=3, k=self.heads)
        q = q.softmax(dim=-1) * q.shape[-1] ** -0.5  # over features
        k = k.softmax(dim=-2)  # over pixels
        out = q @ (k.transpose(-2, -1) @ v)
        return nchw(self.out(rearrange(out, "n k (h w) d -> n h w (k d)", h=height, w=width)))


class SpatialAttention(nn.Module):
    """Full attention among the pixels of a frame."""

    def __init__(self, channels: int, heads: int, width: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * heads * width, bias=False)
        self.out = nn.Linear(heads * width, channels, bias=False)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        _, _, height, width = x.shape
        q, k, v = rearrange(self.qkv(nhwc(x)), "n h w (three k d) -> three n k (h w) d", three=3, k=self.heads)
        out = nnf.scaled_dot_product_attention(q, k, v)
        return nchw(self.out(rearrange(out, "n k (h w) d -> n h w (k d)", h=height, w=width)))


class TemporalAttention(nn.Module):
    """Attention among a clip's frames, a pixel at a time, with rotary and relative positions (Ho et al. 2022)."""

    def __init__(self, channels: int, heads: int, width: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * heads * width, bias=False)
        self.out = nn.Linear(heads * width, channels, bias=False)

    def forward(
        self, x: Float[Tensor, "n c h w"], frames: int, turn: Turn, bias: Float[Tensor, "k f f"]
    ) -> Float[Tensor, "n c h w"]:
        height, width = x.shape[-2:]
        rows = rearrange(x, "(b f) c h w -> (b h w) f c", f=frames)
        q, k, v = rearrange(self.qkv(rows), "p f (three k d) -> three p k f d", three=3, k=self.heads)
        out = attend(rotate(q, turn), rotate(k, turn), v, bias)
        out = self.out(rearrange(out, "p k f d -> p f (k d)"))
        return rearrange(out, "(b h w) f c -> (b f) c h w", h=height, w=width)


def attend(
    q: Float[Tensor, "p k f d"], k: Float[Tensor, "p k f d"], v: Float[Tensor, "p k f d"], bias: Float[Tensor, "k f f"]
) -> Float[Tensor, "p k f d"]:
    """softmax(q k^T / sqrt(d) + bias) v, by whichever way is the faster one here."""
    if q.device.type == "cpu" and q.shape[-2] <= SHORT:
        return (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5 + bias.to(q)).softmax(dim=-1) @ v
    return nnf.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q))


class Residual(nn.Module):
    """x + layer(norm(x), ...)."""

    def __init__(self, norm: nn.Module, layer: nn.Module):
        super().__init__()
        self.norm, self.layer = norm, layer

    def forward(self, x: Float[Tensor, "n c h w"], *context: object) -> Float[Tensor, "n c h w"]:
        return x + self.layer(self.norm(x), *context)
