"""The U-Net of images as it is built today: that of Ho et al. (2020), improved by Dhariwal & Nichol (2021, sec. 3).

    conv3 -> U of stages (blocks/unet.py) -> GroupNorm -> SiLU -> conv3
    stage: residual block, modulated by noise level and condition; then, at some levels and first in the middle,
           multi-head attention among pixels, and attention to the condition's tokens if there are any

The last convolution of every block and of the network begins at zero. Noise level and condition's vector are added;
maps are further channels of z.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as nnf
from jaxtyping import Float, Num
from torch import Tensor, nn

from ..blocks.attention import CrossAttention, Residual, SpatialAttention
from ..blocks.embedding import LevelEmbedding, noise_position
from ..blocks.memory import Memory
from ..blocks.norm import GroupNorm
from ..blocks.resample import pad_to
from ..blocks.residual import PreNormBlock, activate, zeroed
from ..blocks.unet import UNet
from ..diffusion.cond import Cond
from . import (
    check_attention,
    check_doors,
    check_dropout,
    check_groups,
    check_mults,
    check_not_negative,
    check_positive,
    maps_of,
)

MODULATIONS = ("film", "add")


@dataclass(frozen=True, kw_only=True)
class Config:
    """What a 2D U-Net is made of."""

    channels: int = 3  # of z; 3 for RGB pixels
    width: int = 128  # channels at full resolution
    mults: tuple[int, ...] = (1, 2, 2, 2)  # channels of each level over width; each level but the last halves the size
    attention: tuple[int, ...] = (2, 3)  # levels whose blocks attend, counted from 0; the middle always does
    blocks: int = 2  # residual blocks of a level on the way down; one more on the way back
    head_width: int = 32  # features of a head of attention; 0: one head as wide as the features
    dropout: float = 0.0  # of the features inside each block
    groups: int = 8  # of channels, in every GroupNorm; on a processor best not narrower than 16 channels
    patch: int = 1  # pixels of z a side that make one position of the network; 2 costs a quarter
    condition: int = 0  # features of the condition's vector, which modulates every block; 0 for none
    tokens: int = 0  # features of the condition's tokens, attended to wherever pixels attend; 0 for none
    maps: int = 0  # channels of the condition's maps, of the height and width of z; 0 for none
    modulation: str = "film"  # of a block by level and condition: "film", or "add", a shift before the norm (imported)
    eps: float = 1e-5  # under the root of every GroupNorm
    corner: bool = False  # a halving pads below and at the right alone rather than all round (imported networks)
    shift: int = 1  # of the frequencies of the level's sinusoids, 0 or 1: see blocks/embedding.py
    steps: bool = False  # take the step of a discrete schedule rather than log-SNR (imported networks)

    images_only = True

    @property
    def takes_steps(self) -> bool:
        return self.steps

    def __post_init__(self) -> None:
        check_positive(self, "channels", "width", "blocks", "patch")
        check_mults(self.mults)
        check_attention(self.attention, len(self.mults))
        check_groups(self.width, self.groups)
        check_not_negative(self, "head_width", "condition", "tokens", "maps")
        if self.modulation not in MODULATIONS:
            raise ValueError(f'modulation="{self.modulation}" is unknown; use "film" or "add"')
        if not 0 < self.eps < 1:
            raise ValueError(f"eps={self.eps} is not a small positive number; use 1e-5")
        if self.shift not in (0, 1):
            raise ValueError(f"shift={self.shift} of the frequencies is not 0 or 1")
        check_dropout(self.dropout)
        if self.width < 4 or self.width % 2:  # the sinusoids of the noise level need two frequencies
            wider = max(4, self.width + self.width % 2)
            raise ValueError(f"width={self.width} is too small or odd; use {wider}")
        for level in (*self.attention, len(self.mults) - 1):
            if self.head_width and (channels := self.mults[level] * self.width) % self.head_width:
                raise ValueError(
                    f"head_width={self.head_width} does not divide the {channels} channels of level {level}; "
                    f"use {self.width} or a divisor of it"
                )


class Stage(nn.Module):
    """A residual block, and where `attends` what its pixels attend to."""

    def __init__(self, config: Config, inputs: int, outputs: int, attends: bool):
        super().__init__()
        groups, eps = config.groups, config.eps
        self.block = PreNormBlock(
            inputs, outputs, 4 * config.width, groups, config.dropout, eps=eps, scales=config.modulation == "film"
        )
        width = config.head_width or outputs
        heads = outputs // width
        self.attention = self.cross = None
        if attends:
            attention = SpatialAttention(outputs, heads, width, bias=True)
            zeroed(attention.out)
            self.attention = Residual(GroupNorm(groups, outputs, eps), attention)
        if attends and config.tokens:
            cross = CrossAttention(outputs, heads, width, config.tokens)
            zeroed(cross.out)
            self.cross = Residual(GroupNorm(groups, outputs, eps), cross)

    def forward(
        self, h: Float[Tensor, "b c h w"], level: Float[Tensor, "b d"], cond: Cond
    ) -> Float[Tensor, "b c2 h w"]:
        h = self.block(h, level)
        h = h if self.attention is None else self.attention(h)
        return h if self.cross is None else self.cross(h, cond.tokens, cond.token_mask)


class Network(nn.Module):
    """F(z, logsnr, cond) for images of any height and width; sizes that do not divide are padded and cropped."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.takes_steps = config.takes_steps
        self.level = LevelEmbedding(config.width, nn.SiLU, config.shift)
        self.condition = nn.Linear(config.condition, 4 * config.width) if config.condition else None
        self.first = nn.Conv2d((config.channels + config.maps) * config.patch**2, config.width, 3, padding=1)
        self.body = UNet(
            config.width,
            config.mults,
            config.blocks,
            block=lambda inputs, outputs, level: Stage(config, inputs, outputs, level in config.attention),
            middle=lambda channels: [Stage(config, channels, channels, attends) for attends in (True, False)],
            corner=config.corner,
        )
        outputs = config.mults[0] * config.width
        self.norm = GroupNorm(config.groups, outputs, config.eps)
        self.out = zeroed(nn.Conv2d(outputs, config.channels * config.patch**2, 3, padding=1))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # unlisted in the stubs

    def levels(self) -> list[list[nn.Module]]:
        """The blocks of each level, the finest first: networks/__init__.py."""
        return self.body.levels()

    def remember(self, memory: Memory | None) -> None:
        """Lets a memory stand in for all levels but the finest: see blocks/memory.py."""
        self.body.memory = memory

    def forward(self, z: Float[Tensor, "b c h w"], logsnr: Num[Tensor, " b"], cond: Cond) -> Float[Tensor, "b c h w"]:
        check_doors(self.config, cond)
        level = self.level(logsnr if self.takes_steps else noise_position(logsnr), None)
        if self.condition is not None:
            level = level + self.condition(cond.vector)
        x = z if cond.maps is None else torch.cat([z, maps_of(z, cond.maps)], dim=1)
        patch, halvings = self.config.patch, len(self.config.mults) - 1
        h, inside = pad_to(x, patch * 2**halvings)
        h = nnf.pixel_unshuffle(h, patch).contiguous(memory_format=torch.channels_last)
        h = self.body(self.first(h), level, cond)
        h = nnf.pixel_shuffle(self.out(activate(self.norm, h)), patch)
        return h[..., inside[0], inside[1]]
