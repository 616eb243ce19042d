"""Embeddings of noise levels and of positions in time."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def noise_position(logsnr: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """1000 (2 / pi) atan(e^(-logsnr / 2)): the angle of the noise level, 0 for data and 1000 for pure noise.

    It is the cosine schedule's own time in thousandths, so that the sinusoids made for 1000 steps fit any schedule.
    """
    return 2000 / math.pi * torch.atan(torch.exp(-logsnr / 2))


def sinusoid(position: Float[Tensor, " b"], width: int) -> Float[Tensor, "b {width}"]:
    """Sines, then cosines, of width / 2 frequencies falling from 1 to 1 / 10000 (Vaswani et al. 2017, sec. 3.5)."""
    half = width // 2
    frequency = torch.exp(torch.arange(half, device=position.device) * (-math.log(10000) / (half - 1)))
    angle = position[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class LevelEmbedding(nn.Module):
    """A noise level, joined by the condition's vector: sinusoid -> Linear -> GELU -> Linear."""

    def __init__(self, width: int):
        super().__init__()
        self.width = width
        self.layers = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, 4 * width))

    def forward(self, position: Float[Tensor, " b"], vector: Float[Tensor, "b v"] | None) -> Float[Tensor, "b d"]:
        level = self.layers(sinusoid(position, self.width))
        return level if vector is None else torch.cat([level, vector.to(level)], dim=1)


Turn = tuple[Float[Tensor, "f r"], Float[Tensor, "f r"]]  # cosines and sines of each frame's angles


def rotary(frames: int, width: int, device: torch.device) -> Turn:
    """Cosines and sines by which the rotary embedding turns pairs of features (Su et al. 2021, eq. 34)."""
    frequency = 10000 ** (-torch.arange(0, width, 2, device=device) / width)
    angle = (torch.arange(frames, device=device)[:, None] * frequency).repeat_interleave(2, dim=1)
    return angle.cos(), angle.sin()


def rotate(x: Float[Tensor, "*n f d"], turn: Turn) -> Float[Tensor, "*n f d"]:
    """Turns the first w features of x, in pairs (0, 1), (2, 3) ..., by the angle of their frame."""
    cos, sin = turn
    width = cos.shape[-1]
    head, rest = x[..., :width], x[..., width:]
    quarter = torch.stack([-head[..., 1::2], head[..., ::2]], dim=-1).flatten(-2)  # head turned by 90 degrees
    return torch.cat([head * cos.to(x) + quarter * sin.to(x), rest], dim=-1)


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
