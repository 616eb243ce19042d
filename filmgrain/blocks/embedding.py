"""Embeddings of noise levels and of positions in time."""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as nnf
from jaxtyping import Float, Int, Num
from torch import Tensor, nn


def noise_position(logsnr: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """1000 (2 / pi) atan(e^(-logsnr / 2)): the angle of the noise level, 0 for data and 1000 for pure noise.

    It is the cosine schedule's own time in thousandths, so that the sinusoids made for 1000 steps fit any schedule.
    """
    return 2000 / math.pi * torch.atan(torch.exp(-logsnr / 2))


def logsnr_position(logsnr: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """25 (20 - logsnr), evenly from 0 for data to 1000 for noise, where a schedule runs from 20 to -20; cut outside."""
    return 25 * (20 - logsnr.clamp(-20, 20))


def sinusoid(position: Num[Tensor, " b"], width: int, shift: int = 1) -> Float[Tensor, "b {width}"]:
    """Sines, then cosines, of width / 2 frequencies falling from 1 to 1 / 10000 (Vaswani et al. 2017, sec. 3.5).

    f_i = 10000^(-i / (width / 2 - shift)): of shift 0 the last one stops short of 1 / 10000.
    """
    half = width // 2
    frequency = torch.exp(torch.arange(half, device=position.device) * (-math.log(10000) / (half - shift)))
    angle = position[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class LevelEmbedding(nn.Module):
    """A noise level, joined by the condition's vector: sinusoid -> Linear -> GELU -> Linear."""

    def __init__(self, width: int, activation: type[nn.Module] = nn.GELU, shift: int = 1):
        super().__init__()
        self.width, self.shift = width, shift
        self.layers = nn.Sequential(nn.Linear(width, 4 * width), activation(), nn.Linear(4 * width, 4 * width))

    def forward(self, position: Num[Tensor, " b"], vector: Float[Tensor, "b v"] | None) -> Float[Tensor, "b d"]:
        level = self.layers(sinusoid(position, self.width, self.shift))
        return level if vector is None else torch.cat([level, vector.to(level)], dim=1)


def mlp(*widths: int) -> nn.Sequential:
    """Linear -> SiLU -> Linear ... from each width to the next."""
    layers = [layer for pair in pairwise(widths) for layer in (nn.SiLU(), nn.Linear(*pair))]
    return nn.Sequential(*layers[1:])


def places(z: Float[Tensor, "b c f h w"], images: int = 0) -> Float[Tensor, "1 3 f h w"]:
    """Frame, row and column of each pixel, from end to end of the clip, each of unit variance.

    Convolutions and relative positions know none of these, but by what their padding tells. The last `images` frames
    are clips of one frame, which is at 0.
    """

    def even(count: int) -> Tensor:
        return (2 * torch.arange(count, device=z.device) + 1 - count) / count * math.sqrt(3)

    frames, height, width = z.shape[2:]
    time = nnf.pad(even(frames - images), (0, images))
    return torch.stack(torch.meshgrid(time, even(height), even(width), indexing="ij")).to(z.dtype)[None]


class Turn(NamedTuple):
    """What turns the features of each frame by its angles."""

    cos: Float[Tensor, "f d"]
    sin: Float[Tensor, "f d"]
    quarter: Float[Tensor, "d d"]  # turns each pair by 90 degrees: one product is faster than slicing and stacking


ROTARY = 32  # features of a head that are turned, at most


def rotary(frames: int, width: int, device: torch.device) -> Turn:
    """The rotary embedding of heads of `width` features (Su et al. 2021, eq. 34)."""
    turned = min(ROTARY, width)
    frequency = 10000 ** (-torch.arange(0, turned, 2, device=device) / turned)
    angle = (torch.arange(frames, device=device)[:, None] * frequency).repeat_interleave(2, dim=1)
    angle = nnf.pad(angle, (0, width - turned))  # the rest stands still
    quarter = torch.zeros(width, width, device=device)
    even = torch.arange(0, turned, 2, device=device)
    quarter[even, even + 1], quarter[even + 1, even] = -1, 1
    return Turn(angle.cos(), angle.sin(), quarter)


def rotate(x: Float[Tensor, "*n f d"], turn: Turn) -> Float[Tensor, "*n f d"]:
    """Turns the first features of x, in pairs (0, 1), (2, 3) ..., by the angles of their frame."""
    cos, sin, quarter = (tensor.to(x.dtype) for tensor in turn)
    x = x.contiguous()  # else the product below is made of one small product a row
    return torch.addcmul(x * cos, nnf.linear(x, quarter), sin)


class RelativePosition(nn.Module):
    """A learned bias of attention for each head and each distance in time (T5: Raffel et al. 2020, sec. 2.1).

    Half of the buckets look forward; of each half, the near distances have one each and the far ones share
    logarithmically, up to max_distance frames.
    """

    def __init__(self, heads: int, buckets: int = 32, max_distance: int = 32):
        super().__init__()
        self.buckets, self.max_distance = buckets, max_distance
        self.bias = nn.Embedding(buckets, heads)

    def bucket(self, ahead: Int[Tensor, "*ff"]) -> Int[Tensor, "*ff"]:
        half, exact = self.buckets // 2, self.buckets // 4
        distance = ahead.abs()
        far = (distance.clamp(min=1) / exact).log() / math.log(self.max_distance / exact) * (half - exact)
        shared = (exact + far.long()).clamp(max=half - 1)
        return torch.where(ahead > 0, half, 0) + torch.where(distance < exact, distance, shared)

    def forward(self, frames: int) -> Float[Tensor, "k f f"]:
        position = torch.arange(frames, device=self.bias.weight.device)
        return self.bias(self.bucket(position[None] - position[:, None])).permute(2, 0, 1)
