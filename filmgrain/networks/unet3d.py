"""The space-time factorised U-Net of Video Diffusion Models (Ho et al. 2022, sec. 3 and fig. 1).

Convolutions and spatial attention see one frame at a time; temporal attention alone joins frames. So frames are folded
into the batch throughout, and every norm is of one frame (but for norm = "group").

    conv -> temporal attention -> level 1 ... level L -> middle -> level L ... level 1 -> residual block -> conv 1x1
    level: 2 residual blocks, linear spatial attention, temporal attention, then half (or twice) the size
    each level hands its features across to its mirror image; the first features go to the end.

Images may stand behind the frames of a clip, for training on both at once (sec. 3): docs/decisions/021-joint-images.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as nnf
from einops import rearrange
from jaxtyping import Float, Num
from torch import Tensor, nn

from ..blocks.attention import LinearSpatialAttention, Residual, SpatialAttention, TemporalAttention, apart
from ..blocks.embedding import (
    LevelEmbedding,
    RelativePosition,
    Turn,
    logsnr_position,
    mlp,
    noise_position,
    places,
    rotary,
)
from ..blocks.memory import Memory
from ..blocks.norm import ClipGroupNorm, LayerNorm, RMSNorm
from ..blocks.resample import down, pad_to, up
from ..blocks.residual import ResidualBlock
from ..diffusion.cond import Cond
from . import check_attention, check_doors, check_dropout, check_mults, check_not_negative, check_positive, maps_of

NORMS = ("rms", "group")
POSITIONS: dict[str, Callable[[Tensor], Tensor]] = {"angle": noise_position, "logsnr": logsnr_position}


@dataclass(frozen=True, kw_only=True)
class Config:
    """What a 3D U-Net is made of. The defaults count 35,706,243 parameters."""

    channels: int = 3  # of z; 3 for pixels
    width: int = 64  # channels at full resolution
    mults: tuple[int, ...] = (1, 2, 4, 8)  # channels of each level over width; each level but the last halves the size
    blocks: int = 2  # residual blocks of a level, on the way down and on the way back
    attention: tuple[int, ...] = ()  # levels that attend over space and time, from 0; [] is all; the middle always does
    heads: int = 8  # of every attention; 0: as many as fill the channels of its level
    head_width: int = 32  # features of a head
    linear_attention: bool = True  # linear spatial attention at these levels; the middle always has full attention
    full_attention: bool = False  # full spatial attention at these levels; its cost grows with pixels squared
    norm: str = "rms"  # of the residual blocks: "rms", a pixel at a time, or "group", 8 groups over the whole clip
    dropout: float = 0.0  # of the features inside each residual block
    kernel: int = 7  # pixels (of patches, if any) a side of the first convolution; odd
    patch: int = 1  # pixels of z a side that make one position of the network; 2 costs a quarter
    level: str = "angle"  # what is embedded of the noise level: "angle", finest in the noise, or "logsnr", even
    coordinates: bool = False  # tell each pixel its place in the clip, as three further channels of z
    condition: int = 0  # features of the condition's vector; 0 for none
    condition_layers: int = 0  # of an MLP through which noise level and condition go, joined; 0: they go as they are
    condition_width: int = 1024  # features of each of that MLP's layers
    maps: int = 0  # channels of the condition's maps, of the frames, height and width of z; 0 for none
    steps: bool = False  # take the step of a discrete schedule rather than log-SNR (imported networks)

    @property
    def takes_steps(self) -> bool:
        return self.steps

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise ValueError(f'norm="{self.norm}" is unknown; use "rms" or "group"')
        check_mults(self.mults)
        check_attention(self.attention, len(self.mults))
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"kernel={self.kernel} is not odd, so it has no centre; use 3, 5 or 7")
        check_positive(self, "channels", "width", "blocks", "head_width", "patch", "condition_width")
        check_not_negative(self, "condition", "condition_layers", "maps")
        if self.heads < 0:
            raise ValueError(f"heads={self.heads} is not positive; use 1 or more, or 0 to fill the channels")
        if self.level not in POSITIONS:
            raise ValueError(f'level="{self.level}" is unknown; use "angle" or "logsnr"')
        if self.linear_attention and self.full_attention:
            raise ValueError("linear_attention and full_attention are both true; set linear_attention=false for full")
        check_dropout(self.dropout)
        if self.head_width % 2:
            even = self.head_width + 1
            raise ValueError(f"head_width={self.head_width} is odd, and positions turn pairs of features; use {even}")
        multiple = 8 if self.norm == "group" else 2
        if self.width < 4 or self.width % multiple:  # the sinusoids of the noise level need two frequencies
            wider = max(4, self.width + -self.width % multiple)
            raise ValueError(f"width={self.width} is too small or no multiple of {multiple}; use {wider}")
        for mult in self.mults if self.heads == 0 else ():
            if mult * self.width % self.head_width:
                raise ValueError(
                    f"heads=0 and head_width={self.head_width} do not fill {mult * self.width} channels; "
                    f"use heads=8, or head_width={self.width}"
                )

    def heads_of(self, channels: int) -> int:
        """Heads of an attention over so many channels."""
        return self.heads or channels // self.head_width

    def attends(self, level: int) -> bool:
        return not self.attention or level in self.attention

    def check_joint(self) -> None:
        """Raises ValueError where images behind the frames of a clip would not stay apart from it."""
        if self.norm == "group":
            raise ValueError(
                'norm="group" joins all frames, so images would leak into the clip; set network.norm="rms"'
            )


class Told(NamedTuple):
    """What the layers are told of the features (b f) c h w that they are given."""

    level: Float[Tensor, "n d"]  # noise and condition, in a row for every `shared` frames
    shared: int
    frames: int  # f, of a clip and the images behind it
    turn: Turn  # rotary position of each frame
    bias: Float[Tensor, "k f f"]  # of temporal attention: relative positions, and who sees whom


def attention(kind: Callable[[int, int, int], nn.Module], config: Config, channels: int) -> Residual:
    return Residual(LayerNorm(channels), kind(channels, config.heads_of(channels), config.head_width))


class Level(nn.Module):
    """The residual blocks and the attentions of one resolution."""

    def __init__(self, config: Config, inputs: int, outputs: int, attends: bool, block: Callable[..., ResidualBlock]):
        super().__init__()
        self.count = config.blocks
        for i in range(self.count):  # block1, block2 ..., the names that they have in checkpoints
            self.add_module(f"block{i + 1}", block(inputs if i == 0 else outputs, outputs))
        kind = SpatialAttention if config.full_attention else LinearSpatialAttention
        spatial = attends and (config.linear_attention or config.full_attention)
        self.spatial = attention(kind, config, outputs) if spatial else None
        self.temporal = attention(TemporalAttention, config, outputs) if attends else None

    def forward(self, h: Tensor, told: Told, across: Tensor | None = None) -> Tensor:
        for i in range(self.count):
            h = self.get_submodule(f"block{i + 1}")(h, told.level, told.shared, None if i else across)
        h = h if self.spatial is None else self.spatial(h)
        return h if self.temporal is None else self.temporal(h, told.frames, told.turn, told.bias)


class Network(nn.Module):
    """F(z, logsnr, cond) for clips of any length, height and width; sizes that do not divide are padded and cropped."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.takes_steps = config.takes_steps
        widths = [config.width, *(m * config.width for m in config.mults)]
        pixels = config.patch**2
        told = 4 * config.width + config.condition
        depth, level = config.condition_layers, config.condition_width if config.condition_layers else told
        norm = RMSNorm if config.norm == "rms" else partial(ClipGroupNorm, 8)
        block = partial(ResidualBlock, level=level, norm=norm, dropout=config.dropout)
        pairs = [(before, after, config.attends(i)) for i, (before, after) in enumerate(pairwise(widths))]

        self.level = LevelEmbedding(config.width)
        self.mlp = mlp(told, *[level] * depth) if depth else None
        self.position = RelativePosition(max(map(config.heads_of, widths)))
        inputs = (config.channels + config.maps + 3 * config.coordinates) * pixels
        self.first = nn.Conv2d(inputs, config.width, config.kernel, padding=config.kernel // 2)
        self.first_temporal = attention(TemporalAttention, config, config.width) if config.attends(0) else None

        self.downs = nn.ModuleList(Level(config, before, after, attends, block) for before, after, attends in pairs)
        self.downsample = nn.ModuleList(down(after) for _, after, _ in pairs[:-1])
        self.middle1 = block(widths[-1], widths[-1])
        self.middle_spatial = attention(SpatialAttention, config, widths[-1])
        self.middle_temporal = attention(TemporalAttention, config, widths[-1])
        self.middle2 = block(widths[-1], widths[-1])
        pairs.reverse()
        self.ups = nn.ModuleList(Level(config, 2 * after, before, attends, block) for before, after, attends in pairs)
        self.upsample = nn.ModuleList(up(before) for before, _, _ in pairs[:-1])

        self.last = block(2 * config.width, config.width, level=None)
        self.out = nn.Conv2d(config.width, config.channels * pixels, 1)
        self.memory: Memory | None = None
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]  # a convolution with bias has one
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # unlisted in the stubs

    def levels(self) -> list[list[nn.Module]]:
        """The blocks of each level, the finest first: networks/__init__.py."""
        pairs = zip(self.downs, reversed(self.ups), strict=True)
        levels = [[*down.children(), *up.children()] for down, up in pairs]
        levels[0] += [self.last] if self.first_temporal is None else [self.first_temporal, self.last]
        levels[-1] += [self.middle1, self.middle_spatial, self.middle_temporal, self.middle2]
        return levels

    def forward(
        self, z: Float[Tensor, "b c *fhw"], logsnr: Num[Tensor, " b"], cond: Cond, images: int = 0
    ) -> Float[Tensor, "b c *fhw"]:
        """images: how many of the frames, the last ones, are images: `cond` is of each clip and its images in turn."""
        if z.ndim == 4:  # an image is a clip of one frame
            return self(z[:, :, None], logsnr, cond)[:, :, 0]
        check_doors(self.config, cond)
        b, patch, told = len(z), self.config.patch, self._told(z, logsnr, cond, images)
        x = z if cond.maps is None else torch.cat([z, maps_of(z, cond.maps)], dim=1)
        if self.config.coordinates:
            x = torch.cat([x, places(z, images).expand(b, -1, -1, -1, -1)], dim=1)
        h, inside = pad_to(rearrange(x, "b c f h w -> (b f) c h w"), patch * 2 ** len(self.downsample))
        h = nnf.pixel_unshuffle(h, patch).contiguous(memory_format=torch.channels_last)
        h = self.first(h)
        h = first = h if self.first_temporal is None else self.first_temporal(h, told.frames, told.turn, told.bias)
        h = self._through(0, h, told)
        h = self.out(self.last(h, None, told.shared, first))
        h = nnf.pixel_shuffle(h, patch)[..., inside[0], inside[1]]
        return rearrange(h, "(b f) c h w -> b c f h w", b=b)

    def _told(self, z: Tensor, logsnr: Tensor, cond: Cond, images: int) -> Told:
        """Of images, each sees itself alone, and has the noise level of its clip and a condition of its own."""
        frames, shared = z.shape[2], z.shape[2]
        position = logsnr if self.takes_steps else POSITIONS[self.config.level](logsnr)
        level = self.level(position.repeat_interleave(1 + images), cond.vector)
        turn, bias = rotary(frames, self.config.head_width, z.device), self.position(frames - images)
        if images:
            self.config.check_joint()
            bias = apart(bias, images)
            shared = 1
            row = torch.arange(frames, device=z.device).sub(frames - images - 1).clamp(min=0)  # 0 ... 0, 1, 2 ...
            level = rearrange(level.unflatten(0, (len(z), 1 + images))[:, row], "b f d -> (b f) d")
        level = level if self.mlp is None else self.mlp(level)
        return Told(level, shared, frames, turn, bias)

    def _through(self, i: int, h: Tensor, told: Told) -> Tensor:
        """Level i on the way down, all that lies below it, and level i on the way back."""
        h = across = self.downs[i](h, told)

        def below(h: Tensor) -> Tensor:
            if i < len(self.downsample):
                return self.upsample[-1 - i](self._through(i + 1, self.downsample[i](h), told))
            h = self.middle_spatial(self.middle1(h, told.level, told.shared))
            h = self.middle_temporal(h, told.frames, told.turn, told.bias)
            return self.middle2(h, told.level, told.shared)

        h = self.memory(h, below) if self.memory is not None and i == 0 else below(h)
        return self.ups[-1 - i](h, told, across)

    def remember(self, memory: Memory | None) -> None:
        """Lets a memory stand in for all levels but the finest: see blocks/memory.py."""
        self.memory = memory
