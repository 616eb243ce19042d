"""The U-Net of the PyPI package denoising-diffusion-pytorch (2.x), exact in its parameters and its output.

    conv7 -> level 1 ... level L -> block, full attention, block -> level L ... level 1 -> block -> conv 1x1
    level: residual block, residual block, attention among pixels (linear in their number, or full), then half the
           size by laying 2 x 2 pixels together, or twice the size

What each block of a level puts out goes across, two to a level; the first features go to the end. Beside the pixels,
every attention has a few learned keys and values.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from einops import rearrange
from jaxtyping import Float, Num
from torch import Tensor, nn

from ..blocks.attention import Residual, attend
from ..blocks.embedding import LevelEmbedding
from ..blocks.layout import nchw, nhwc
from ..blocks.linear import Linear
from ..blocks.norm import RMSNorm
from ..blocks.resample import pad_to
from ..blocks.residual import ResidualBlock
from ..diffusion.cond import Cond
from . import check_attention, check_doors, check_dropout, check_mults, check_not_negative, check_positive

MEMORY = 4  # learned keys and values of each head


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the package's U-Net is made of. The defaults count 35,711,491 parameters."""

    channels: int = 3  # of z; 3 for RGB pixels
    width: int = 64  # channels at full resolution
    mults: tuple[int, ...] = (1, 2, 4, 8)  # channels behind each level over width; each but the last halves the size
    attention: tuple[int, ...] = (3,)  # levels whose attention is full, counted from 0; that of the others is linear
    heads: int = 4  # of every attention
    head_width: int = 32  # features of a head
    dropout: float = 0.0  # of the features inside each block
    condition: int = 0  # features of the condition's vector, which is joined to the step's; 0 for none

    takes_steps = True
    images_only = True

    def __post_init__(self) -> None:
        check_positive(self, "channels", "width", "heads", "head_width")
        check_mults(self.mults)
        check_attention(self.attention, len(self.mults))
        check_not_negative(self, "condition")
        check_dropout(self.dropout)
        if self.width < 4 or self.width % 2:  # the sinusoids of the step need two frequencies
            wider = max(4, self.width + self.width % 2)
            raise ValueError(f"width={self.width} is too small or odd; use {wider}")


class FullAttention(nn.Module):
    """Attention of every pixel to every pixel and to the memory."""

    def __init__(self, channels: int, heads: int, width: int):
        super().__init__()
        self.memory = nn.Parameter(torch.randn(2, heads, MEMORY, width))  # keys and values
        self.qkv = Linear(channels, 3 * heads * width, bias=False)
        self.out = Linear(heads * width, channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        b, _, height, width = x.shape
        q, kv = _queries(self.qkv(nhwc(x)), self.memory.shape[1])
        memory = self.memory[:, None].expand(-1, b, -1, -1, -1).to(kv)
        k, v = torch.cat([memory, kv], dim=-2)
        out = attend(q, k, v)
        return nchw(self.out(rearrange(out, "b k (h w) d -> b h w (k d)", h=height, w=width)))


class LinearAttention(nn.Module):
    """softmax(q) (softmax(k)^T v) over pixels and memory, then a norm (Shen et al. 2018)."""

    def __init__(self, channels: int, heads: int, width: int):
        super().__init__()
        self.memory = nn.Parameter(torch.randn(2, heads, width, MEMORY))  # keys and values, on end
        self.qkv = Linear(channels, 3 * heads * width, bias=False)
        self.out = Linear(heads * width, channels)
        self.norm = RMSNorm(channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        b, _, height, width = x.shape
        q, kv = _queries(self.qkv(nhwc(x)), self.memory.shape[1])
        memory = self.memory.mT[:, None].expand(-1, b, -1, -1, -1).to(kv)
        k, v = torch.cat([memory, kv], dim=-2)
        q = q.softmax(dim=-1) * q.shape[-1] ** -0.5  # over features
        out = q @ (k.softmax(dim=-2).mT @ v)
        return self.norm(nchw(self.out(rearrange(out, "b k (h w) d -> b h w (k d)", h=height, w=width))))


def _queries(qkv: Float[Tensor, "b h w d3"], heads: int) -> tuple[Float[Tensor, "b k n d"], Float[Tensor, "2 b k n d"]]:
    """Queries; keys and values in one."""
    q, k, v = rearrange(qkv, "b h w (three k d) -> three b k (h w) d", three=3, k=heads)
    return q, torch.stack([k, v])


class Level(nn.Module):
    """Two residual blocks and the attention of one resolution, then its change."""

    def __init__(self, config: Config, inputs: int, outputs: int, full: bool, resample: nn.Module):
        super().__init__()
        self.block1, self.block2 = _block(config, inputs, outputs), _block(config, inputs, outputs)
        self.attention = _attention(config, outputs, full)
        self.resample = resample

    def forward(self, h: Tensor, level: Tensor, one: Tensor | None = None, two: Tensor | None = None) -> list[Tensor]:
        """The features of another size, and those behind block and attention. one, two: what arrives from across."""
        one = self.block1(_joined(h, one), level, 1)
        two = self.attention(self.block2(_joined(one, two), level, 1))
        return [self.resample(two), one, two]


def _joined(h: Tensor, arriving: Tensor | None) -> Tensor:
    return h if arriving is None else torch.cat([h, arriving], dim=1)


class Network(nn.Module):
    """F(z, step, cond) for images of any size; steps may be fractions. Sizes that do not divide are padded, cropped."""

    takes_steps = True

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        widths = [config.width, *(mult * config.width for mult in config.mults)]
        stages = [*enumerate(pairwise(widths))]
        self.level = LevelEmbedding(config.width)
        self.first = nn.Conv2d(config.channels, config.width, 7, padding=3)
        self.downs = nn.ModuleList(
            Level(config, before, before, level in config.attention, _half(before, after, level == len(stages) - 1))
            for level, (before, after) in stages
        )
        self.middle1, self.middle2 = (_block(config, widths[-1], widths[-1]) for _ in range(2))
        self.middle = _attention(config, widths[-1], full=True)
        self.ups = nn.ModuleList(
            Level(config, before + after, after, level in config.attention, _double(after, before, level == 0))
            for level, (before, after) in reversed(stages)
        )
        self.last = _block(config, 2 * config.width, config.width)
        self.out = nn.Conv2d(config.width, config.channels, 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # unlisted in the stubs

    def levels(self) -> list[list[nn.Module]]:
        """The blocks of each level, the finest first: networks/__init__.py."""
        levels: list[list[nn.Module]] = [[down, up] for down, up in zip(self.downs, reversed(self.ups), strict=True)]
        levels[0].append(self.last)
        levels[-1] += [self.middle1, self.middle, self.middle2]
        return levels

    def forward(self, z: Float[Tensor, "b c h w"], step: Num[Tensor, " b"], cond: Cond) -> Float[Tensor, "b c h w"]:
        check_doors(self.config, cond)
        level = self.level(step, cond.vector)
        h, inside = pad_to(z, 2 ** (len(self.downs) - 1))
        h = first = self.first(h.contiguous(memory_format=torch.channels_last))
        across: list[Tensor] = []
        for stage in self.downs:
            h, *left = stage(h, level)
            across += left
        h = self.middle2(self.middle(self.middle1(h, level, 1)), level, 1)
        for stage in self.ups:
            h, _, _ = stage(h, level, across.pop(), across.pop())
        h = self.last(torch.cat([h, first], dim=1), level, 1)
        return self.out(h)[..., inside[0], inside[1]]


def _block(config: Config, inputs: int, outputs: int) -> nn.Module:
    return ResidualBlock(inputs, outputs, 4 * config.width + config.condition, RMSNorm, config.dropout)


def _attention(config: Config, channels: int, full: bool) -> nn.Module:
    kind = FullAttention if full else LinearAttention
    return Residual(RMSNorm(channels), kind(channels, config.heads, config.head_width))


def _half(inputs: int, outputs: int, stays: bool) -> nn.Module:
    if stays:
        return nn.Conv2d(inputs, outputs, 3, padding=1)
    return nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * inputs, outputs, 1))


def _double(inputs: int, outputs: int, stays: bool) -> nn.Module:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1)
    return conv if stays else nn.Sequential(nn.Upsample(scale_factor=2.0, mode="nearest"), conv)
