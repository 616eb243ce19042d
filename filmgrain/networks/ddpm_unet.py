"""The U-Net of Denoising Diffusion Probabilistic Models (Ho et al. 2020, app. B), as it was trained on CIFAR-10.

    conv3 -> U of residual blocks (blocks/unet.py) -> GroupNorm -> SiLU -> conv3
    block: GroupNorm -> SiLU -> conv3, + Linear(SiLU(step)), GroupNorm -> SiLU -> dropout -> conv3, plus the input;
           then, at some levels and first in the middle, single-head attention among pixels

A step is a row of a table of sinusoids that is not trained. Parameters lie as in the public PyTorch version
(pytorch-ddpm), so that its checkpoints are this network's under other names.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as nnf
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..blocks.attention import attend
from ..blocks.memory import Memory
from ..blocks.norm import GroupNorm
from ..blocks.resample import pad_to
from ..blocks.residual import activate
from ..blocks.unet import UNet
from ..diffusion.cond import Cond
from . import check_attention, check_doors, check_dropout, check_groups, check_mults, check_not_negative, check_positive

ALMOST_ZERO = 1e-5  # gain of the last convolutions: a new block hands its input on, and a new network gives about zero


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the U-Net of Ho et al. is made of. The defaults count 35,746,307 parameters, and a table of 128,000."""

    channels: int = 3  # of z; 3 for RGB pixels
    width: int = 128  # channels at full resolution
    mults: tuple[int, ...] = (1, 2, 2, 2)  # channels of each level over width; each level but the last halves the size
    attention: tuple[int, ...] = (1,)  # levels whose blocks attend, counted from 0; the middle always does
    blocks: int = 2  # residual blocks of a level on the way down; one more on the way back
    dropout: float = 0.1  # of the features inside each block
    groups: int = 32  # of channels, in every GroupNorm
    table: int = 1000  # steps that have a row: at least those of the schedule
    condition: int = 0  # features of the condition's vector, which enters every block; 0 for none

    takes_steps = True
    images_only = True

    def __post_init__(self) -> None:
        check_positive(self, "channels", "width", "blocks", "table")
        check_mults(self.mults)
        check_attention(self.attention, len(self.mults))
        check_groups(self.width, self.groups)
        check_not_negative(self, "condition")
        check_dropout(self.dropout)
        if self.width % 2:
            raise ValueError(f"width={self.width} is odd, and each angle has a sine and a cosine; use {self.width + 1}")


def step_table(steps: int, width: int) -> Float[Tensor, "{steps} {width}"]:
    """Row t is sin(t f_0), cos(t f_0), sin(t f_1), cos(t f_1), ... with f_i = 10000^(-2i / width)."""
    frequency = torch.exp(-torch.arange(0, width, 2) / width * math.log(10000))
    angle = torch.arange(steps)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


class StepEmbedding(nn.Module):
    """table[step] -> Linear -> SiLU -> Linear. The table is a buffer: saved, never trained or averaged."""

    table: Tensor

    def __init__(self, steps: int, width: int):
        super().__init__()
        self.register_buffer("table", step_table(steps, width))
        self.layers = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width))

    def forward(self, step: Int[Tensor, " b"]) -> Float[Tensor, "b d"]:
        return self.layers(self.table[step])


class Attention(nn.Module):
    """x + attention among the pixels of GroupNorm(x), with one head as wide as the features."""

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.norm = GroupNorm(groups, channels)
        self.q, self.k, self.v, self.out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        h = self.norm(x)
        q, k, v = (rearrange(layer(h), "b c h w -> b 1 (h w) c") for layer in (self.q, self.k, self.v))
        h = attend(q, k, v)
        return x + self.out(rearrange(h, "b 1 (h w) c -> b c h w", h=x.shape[-2]))


class Block(nn.Module):
    """Two convolutions, told of the step between them, and attention behind where `attends`."""

    def __init__(self, config: Config, inputs: int, outputs: int, attends: bool):
        super().__init__()
        self.norm1, self.conv1 = GroupNorm(config.groups, inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(4 * config.width, outputs)
        self.condition = nn.Linear(config.condition, outputs) if config.condition else None
        self.norm2, self.conv2 = GroupNorm(config.groups, outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.dropout = nn.Dropout(config.dropout)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.attention = Attention(outputs, config.groups) if attends else nn.Identity()

    def forward(
        self, x: Float[Tensor, "b c h w"], time: Float[Tensor, "b d"], vector: Float[Tensor, "b v"] | None
    ) -> Float[Tensor, "b c2 h w"]:
        told = self.time(nnf.silu(time))
        if self.condition is not None:
            told = told + self.condition(vector)
        h = self.conv1(activate(self.norm1, x)) + told[:, :, None, None]
        h = self.conv2(self.dropout(activate(self.norm2, h)))
        return self.attention(h + self.shortcut(x))


class Network(nn.Module):
    """F(z, step, cond) for images of any size; sizes that do not divide are padded and cropped."""

    takes_steps = True
    step_lookup = "nearest"

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.time = StepEmbedding(config.table, config.width)
        self.first = nn.Conv2d(config.channels, config.width, 3, padding=1)
        self.body = UNet(
            config.width,
            config.mults,
            config.blocks,
            block=lambda inputs, outputs, level: Block(config, inputs, outputs, level in config.attention),
            middle=lambda channels: [Block(config, channels, channels, attends) for attends in (True, False)],
        )
        self.norm = GroupNorm(config.groups, config.mults[0] * config.width)
        self.out = nn.Conv2d(config.mults[0] * config.width, config.channels, 3, padding=1)
        self.apply(_xavier)
        for module in self.modules():
            if last := {Network: "out", Block: "conv2", Attention: "out"}.get(type(module)):
                nn.init.xavier_uniform_(getattr(module, last).weight, gain=ALMOST_ZERO)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # unlisted in the stubs

    def levels(self) -> list[list[nn.Module]]:
        """The blocks of each level, the finest first: networks/__init__.py."""
        return self.body.levels()

    def remember(self, memory: Memory | None) -> None:
        """Lets a memory stand in for all levels but the finest: see blocks/memory.py."""
        self.body.memory = memory

    def forward(self, z: Float[Tensor, "b c h w"], step: Int[Tensor, " b"], cond: Cond) -> Float[Tensor, "b c h w"]:
        check_doors(self.config, cond)
        h, inside = pad_to(z, 2 ** (len(self.config.mults) - 1))
        h = self.first(h.contiguous(memory_format=torch.channels_last))
        h = self.body(h, self.time(step), cond.vector)
        return self.out(activate(self.norm, h))[..., inside[0], inside[1]]


def _xavier(module: nn.Module) -> None:
    """Glorot's uniform weights for every convolution and linear layer, and no biases."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # each has one
