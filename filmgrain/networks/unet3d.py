"""The space-time factorised U-Net of Video Diffusion Models (Ho et al. 2022, sec. 3 and fig. 1).

Convolutions and spatial attention see one frame at a time; temporal attention alone joins frames. So frames are folded
into the batch throughout, and every norm is of one frame (but for norm = "group").

    conv -> temporal attention -> level 1 ... level L -> middle -> level L ... level 1 -> residual block -> conv 1x1
    level: 2 residual blocks, linear spatial attention, temporal attention, then half (or twice) the size
    each level hands its features across to its mirror image; the first features go to the end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as nnf
from einops import rearrange
from jaxtyping import Float, Num
from torch import Tensor, nn

from ..blocks.attention import LinearSpatialAttention, Residual, SpatialAttention, TemporalAttention
from ..blocks.embedding import LevelEmbedding, RelativePosition, Turn, noise_position, rotary
from ..blocks.memory import Memory
from ..blocks.norm import ClipGroupNorm, LayerNorm, RMSNorm
from ..blocks.resample import down, pad_to, up
from ..blocks.residual import ResidualBlock
from ..diffusion.cond import Cond
from . import check_doors, check_mults, check_not_negative, check_positive

NORMS = ("rms", "group")


@dataclass(frozen=True, kw_only=True)
class Config:
    """What a 3D U-Net is made of. The defaults count 35,706,243 parameters."""

    channels: int = 3  # of z; 3 for pixels
    width: int = 64  # channels at full resolution
    mults: tuple[int, ...] = (1, 2, 4, 8)  # channels of each level over width; each level but the last halves the size
    heads: int = 8  # of every attention
    head_width: int = 32  # features of a head
    linear_attention: bool = True  # spatial attention at every level; the middle always has full attention
    norm: str = "rms"  # of the residual blocks: "rms", a pixel at a time, or "group", 8 groups over the whole clip
    kernel: int = 7  # pixels (of patches, if any) a side of the first convolution; odd
    patch: int = 1  # pixels of z a side that make one position of the network; 2 costs a quarter
    condition: int = 0  # features of the condition's vector; 0 for none
    maps: int = 0  # channels of the condition's maps, of the frames, height and width of z; 0 for none
    steps: bool = False  # take the step of a discrete schedule rather than log-SNR (imported networks)

    @property
    def takes_steps(self) -> bool:
        return self.steps

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise ValueError(f'norm="{self.norm}" is unknown; use "rms" or "group"')
        check_mults(self.mults)
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"kernel={self.kernel} is not odd, so it has no centre; use 3, 5 or 7")
        check_positive(self, "channels", "width", "heads", "head_width", "patch")
        check_not_negative(self, "condition", "maps")
        if self.head_width % 2:
            even = self.head_width + 1
            raise ValueError(f"head_width={self.head_width} is odd, and positions turn pairs of features; use {even}")
        multiple = 8 if self.norm == "group" else 2
        if self.width < 4 or self.width % multiple:  # the sinusoids of the noise level need two frequencies
            wider = max(4, self.width + -self.width % multiple)
            raise ValueError(f"width={self.width} is too small or no multiple of {multiple}; use {wider}")


class Level(nn.Module):
    """Two residual blocks and the attentions of one resolution."""

    def __init__(self, config: Config, inputs: int, outputs: int, level: int, norm: Callable[[int], nn.Module]):
        super().__init__()
        heads, head_width = config.heads, config.head_width
        self.block1 = ResidualBlock(inputs, outputs, level, norm)
        self.block2 = ResidualBlock(outputs, outputs, level, norm)
        spatial = partial(LinearSpatialAttention, outputs, heads, head_width)
        self.spatial = Residual(LayerNorm(outputs), spatial()) if config.linear_attention else nn.Identity()
        self.temporal = Residual(LayerNorm(outputs), TemporalAttention(outputs, heads, head_width))

    def forward(self, h: Tensor, level: Tensor, frames: int, turn: Turn, bias: Tensor) -> Tensor:
        h = self.block2(self.block1(h, level, frames), level, frames)
        return self.temporal(self.spatial(h), frames, turn, bias)


class Network(nn.Module):
    """F(z, logsnr, cond) for clips of any length, height and width; sizes that do not divide are padded and cropped."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.takes_steps = config.takes_steps
        widths = [config.width, *(m * config.width for m in config.mults)]
        pixels = config.patch**2
        level = 4 * config.width + config.condition
        norm = RMSNorm if config.norm == "rms" else partial(ClipGroupNorm, 8)
        attention = config.heads, config.head_width

        self.level = LevelEmbedding(config.width)
        self.position = RelativePosition(config.heads)
        inputs = (config.channels + config.maps) * pixels
        self.first = nn.Conv2d(inputs, config.width, config.kernel, padding=config.kernel // 2)
        self.first_temporal = Residual(LayerNorm(config.width), TemporalAttention(config.width, *attention))

        pairs = list(pairwise(widths))
        self.downs = nn.ModuleList(Level(config, before, after, level, norm) for before, after in pairs)
        self.downsample = nn.ModuleList(down(after) for _, after in pairs[:-1])
        self.middle1 = ResidualBlock(widths[-1], widths[-1], level, norm)
        self.middle_spatial = Residual(LayerNorm(widths[-1]), SpatialAttention(widths[-1], *attention))
        self.middle_temporal = Residual(LayerNorm(widths[-1]), TemporalAttention(widths[-1], *attention))
        self.middle2 = ResidualBlock(widths[-1], widths[-1], level, norm)
        self.ups = nn.ModuleList(Level(config, 2 * after, before, level, norm) for before, after in reversed(pairs))
        self.upsample = nn.ModuleList(up(before) for before, _ in reversed(pairs[1:]))

        self.last = ResidualBlock(2 * config.width, config.width, None, norm)
        self.out = nn.Conv2d(config.width, config.channels * pixels, 1)
        self.memory: Memory | None = None
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]  # a convolution with bias has one
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # unlisted in the stubs

    def levels(self) -> list[list[nn.Module]]:
        """The blocks of each level, the finest first: networks/__init__.py."""
        pairs = zip(self.downs, reversed(self.ups), strict=True)
        levels = [[*down.children(), *up.children()] for down, up in pairs]
        levels[0] += [self.first_temporal, self.last]
        levels[-1] += [self.middle1, self.middle_spatial, self.middle_temporal, self.middle2]
        return [[block for block in level if not isinstance(block, nn.Identity)] for level in levels]

    def forward(self, z: Float[Tensor, "b c *fhw"], logsnr: Num[Tensor, " b"], cond: Cond) -> Float[Tensor, "b c *fhw"]:
        if z.ndim == 4:  # an image is a clip of one frame
            return self(z[:, :, None], logsnr, cond)[:, :, 0]
        check_doors(self.config, cond)
        b, _, frames, _, _ = z.shape
        patch = self.config.patch
        level = self.level(logsnr if self.takes_steps else noise_position(logsnr), cond.vector)
        turn = rotary(frames, self.config.head_width, z.device)  # rotary position of each frame
        when = frames, turn, self.position(frames)  # what temporal attention knows of time

        x = z if cond.maps is None else torch.cat([z, cond.maps.to(z).reshape(b, -1, *z.shape[2:])], dim=1)
        h, inside = pad_to(rearrange(x, "b c f h w -> (b f) c h w"), patch * 2 ** len(self.downsample))
        h = nnf.pixel_unshuffle(h, patch).contiguous(memory_format=torch.channels_last)
        h = first = self.first_temporal(self.first(h), *when)
        h = self._through(0, h, level, *when)
        h = self.out(self.last(torch.cat([h, first], dim=1), None, frames))
        h = nnf.pixel_shuffle(h, patch)[..., inside[0], inside[1]]
        return rearrange(h, "(b f) c h w -> b c f h w", b=b)

    def _through(self, i: int, h: Tensor, level: Tensor, frames: int, turn: Turn, bias: Tensor) -> Tensor:
        """Level i on the way down, all that lies below it, and level i on the way back."""
        h = across = self.downs[i](h, level, frames, turn, bias)

        def below(h: Tensor) -> Tensor:
            if i < len(self.downsample):
                h = self._through(i + 1, self.downsample[i](h), level, frames, turn, bias)
                return self.upsample[-1 - i](h)
            h = self.middle_spatial(self.middle1(h, level, frames))
            return self.middle2(self.middle_temporal(h, frames, turn, bias), level, frames)

        h = self.memory(h, below) if self.memory is not None and i == 0 else below(h)
        return self.ups[-1 - i](torch.cat([h, across], dim=1), level, frames, turn, bias)

    def remember(self, memory: Memory | None) -> None:
        """Lets a memory stand in for all levels but the finest: see blocks/memory.py."""
        self.memory = memory
