"""The U-Net of the well-known DDPM tutorial: BatchNorm, no attention, features of the step added in each block.

    conv3 -> block down ... block down -> block up ... block up -> conv1
    block: conv3 -> ReLU -> BatchNorm, + ReLU(Linear(step)), conv3 -> ReLU -> BatchNorm, then half or twice the size

It is exact, its quirk included: each block up is given its input beside what the mirrored block down *put out*, so the
first one, at the bottom, is given its own input twice. No feature of full resolution goes across.

BatchNorm: while it is trained, each sample depends on its batch; sampled in evaluation mode, on the running statistics,
which are those of the raw weights, since EMA averages parameters alone.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as nnf
from jaxtyping import Float, Num
from torch import Tensor, nn

from ..blocks.embedding import sinusoid
from ..blocks.resample import down, pad_to, up
from ..diffusion.cond import Cond
from . import check_doors, check_mults, check_not_negative, check_positive


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the tutorial's U-Net is made of. The defaults count 62,438,883 parameters."""

    channels: int = 3  # of z; 3 for RGB pixels
    width: int = 64  # channels at full resolution
    mults: tuple[int, ...] = (1, 2, 4, 8, 16)  # channels of each size over width; each but the first is half as large
    time: int = 32  # features of the step's embedding; even
    norms: int = 2  # BatchNorms of a block: 2, or 1 that both of its convolutions share (62,433,123 parameters)
    condition: int = 0  # features of the condition's vector, which enters every block; 0 for none

    takes_steps = True
    images_only = True

    def __post_init__(self) -> None:
        check_positive(self, "channels", "width")
        check_mults(self.mults, least=2)
        check_not_negative(self, "condition")
        if self.time < 4 or self.time % 2:
            raise ValueError(f"time={self.time} is too small or odd; use 4 or more, half for sines, half for cosines")
        if self.norms not in (1, 2):
            raise ValueError(
                f"norms={self.norms} is not the number of a block's BatchNorms; use 2, or 1 that is shared"
            )


class Block(nn.Module):
    """Two convolutions, told of the step between them, and a change of size."""

    def __init__(self, config: Config, inputs: int, outputs: int, resample: nn.Module):
        super().__init__()
        self.time = nn.Linear(config.time, outputs)
        self.condition = nn.Linear(config.condition, outputs) if config.condition else None
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(outputs) for _ in range(config.norms))
        self.resample = resample

    def forward(
        self, x: Float[Tensor, "b c h w"], time: Float[Tensor, "b d"], vector: Float[Tensor, "b v"] | None
    ) -> Float[Tensor, "b c2 h2 w2"]:
        told = nnf.relu(self.time(time))
        if self.condition is not None:
            told = told + self.condition(vector)
        h = self.norms[0](nnf.relu(self.conv1(x))) + told[:, :, None, None]
        return self.resample(self.norms[-1](nnf.relu(self.conv2(h))))


class Network(nn.Module):
    """F(z, step, cond) for images of any size; steps may be fractions. Sizes that do not divide are padded, cropped."""

    takes_steps = True

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        widths = [mult * config.width for mult in config.mults]
        pairs = [*pairwise(widths)]
        self.time = nn.Linear(config.time, config.time)
        self.first = nn.Conv2d(config.channels, widths[0], 3, padding=1)
        self.downs = nn.ModuleList(Block(config, before, after, down(after)) for before, after in pairs)
        self.ups = nn.ModuleList(Block(config, 2 * after, before, up(before)) for before, after in reversed(pairs))
        self.out = nn.Conv2d(widths[0], config.channels, 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # unlisted in the stubs

    def levels(self) -> list[list[nn.Module]]:
        """The blocks of each level, the finest first: networks/__init__.py."""
        return [[down, up] for down, up in zip(self.downs, reversed(self.ups), strict=True)]

    def forward(self, z: Float[Tensor, "b c h w"], step: Num[Tensor, " b"], cond: Cond) -> Float[Tensor, "b c h w"]:
        check_doors(self.config, cond)
        time = nnf.relu(self.time(sinusoid(step, self.config.time)))
        h, inside = pad_to(z, 2 ** len(self.downs))
        h = self.first(h.contiguous(memory_format=torch.channels_last))
        across = []
        for block in self.downs:
            h = block(h, time, cond.vector)
            across.append(h)
        for block in self.ups:  # the first of them: torch.cat([h, h])
            h = block(torch.cat([h, across.pop()], dim=1), time, cond.vector)
        return self.out(h)[..., inside[0], inside[1]]
