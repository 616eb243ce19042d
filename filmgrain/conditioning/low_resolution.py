"""A smaller copy of x itself, noised: the condition of super-resolution (Ho et al. 2022, Cascaded Diffusion Models).

    small = mean of every factor x factor pixels of x0       z_small = alpha small + sigma eps
    maps = z_small, each pixel enlarged again                vector = MLP(alpha, sigma)

The noise is drawn anew for each item, at a level that is drawn too and told (noise conditioning augmentation): a stage
that has seen none would trust every flaw of what the stage before it makes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as nnf
from jaxtyping import Float
from torch import Tensor, nn

from ..autoencoders import Codec
from ..diffusion.cond import Cond
from ..diffusion.draw import Draw
from ..diffusion.process import alpha, diffuse, sigma
from . import check_drop


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the stage is given. Its network has as many maps as x has channels."""

    channels: int = 3  # of x
    axes: int = 3  # of x beside its channels: 3 of videos, 2 of pictures
    factor: int = 4  # times that x is higher and wider than its smaller copy
    levels: tuple[float, float] = (0.0, 12.0)  # log-SNR of the smaller copy, drawn between these
    width: int = 64  # features of the layer that reads the level
    drop: float = 0.1  # of the items are trained without their smaller copy

    def __post_init__(self) -> None:
        if self.channels < 1 or self.axes not in (2, 3):
            raise ValueError(f"channels={self.channels}, axes={self.axes}: use 1 channel or more, and 2 or 3 axes")
        if self.factor < 2:
            raise ValueError(f"factor={self.factor} makes nothing larger; use 2 or more")
        if len(self.levels) != 2 or not self.levels[0] <= self.levels[1]:
            raise ValueError(f"levels={list(self.levels)} is not from one log-SNR to a higher one; use [0, 12]")
        if self.width < 1:
            raise ValueError(f"width={self.width} is not positive; use 64")
        check_drop(self.drop)

    @property
    def maps(self) -> int:
        return self.channels

    def check_data(self, data: Any) -> None:
        """Raises ValueError where x is not of these channels and axes, or not a multiple of the factor."""
        channels, *axes = data.shape
        if (channels, len(axes)) != (self.channels, self.axes):
            raise ValueError(
                f"conditions.low_resolution is of channels={self.channels} and axes={self.axes}; the data are "
                f"{'x'.join(map(str, data.shape))} (channels first): set channels={channels} and axes={len(axes)}"
            )
        check_factor(axes[-2], axes[-1], self.factor)

    def check(self, *, classes: Sequence[str] | None, captions: bool) -> None:
        """Labels and captions are of no matter here."""


class Conditioner(nn.Module):
    """batch["x"] is x, or a smaller copy enlarged, of which the same smaller copy is made.

    batch["augmentation"], log-SNR of each item, is what the smaller copy is noised to; drawn where it is not given.
    """

    key = "x"

    def __init__(self, config: Config, *, vector: int):
        super().__init__()
        self.factor, self.levels, self.drop = config.factor, config.levels, config.drop
        self.layers = nn.Sequential(nn.Linear(2, config.width), nn.SiLU(), nn.Linear(config.width, vector))
        self.nothing = nn.Parameter(torch.zeros(vector))
        self.nothing_there = config.channels, *(1,) * config.axes

    def forward(self, batch: dict[str, Any], draw: Draw, codec: Codec) -> Cond:
        x0 = codec.encode(torch.stack(list(batch[self.key])).to(self.nothing))
        least, most = self.levels
        drawn = least + (most - least) * draw.uniform("augmentation")
        logsnr = torch.as_tensor(batch.get("augmentation", drawn)).to(self.nothing)
        small = reduced(x0, self.factor)
        noisy = diffuse(small, draw.normal("augmentation noise", small), logsnr)
        level = torch.stack([alpha(logsnr), sigma(logsnr)], dim=1)
        maps = noisy.repeat_interleave(self.factor, -2).repeat_interleave(self.factor, -1)
        return Cond(vector=self.layers(level), maps=maps)

    def null(self, count: int) -> Cond:
        """Maps of zeros, one pixel large: it stands for all of them, whatever the size of x."""
        maps = self.nothing.new_zeros(count, *self.nothing_there)
        return Cond(vector=self.nothing.expand(count, -1), maps=maps)

    def examples(self, count: int) -> Sequence[Any]:
        """None of its own: previews are of held-out data."""
        return ()


def reduced(x0: Float[Tensor, "b *cf h w"], factor: int) -> Float[Tensor, "b *cf less_h less_w"]:
    """The mean of every factor x factor pixels. Raises ValueError where there is no whole number of them."""
    check_factor(x0.shape[-2], x0.shape[-1], factor)
    flat = nnf.avg_pool2d(x0.flatten(0, -3)[:, None], factor)
    return flat.reshape(*x0.shape[:-2], *flat.shape[-2:])


def check_factor(height: int, width: int, factor: int) -> None:
    if height % factor or width % factor:
        raise ValueError(f"x of {height}x{width} is no multiple of factor={factor} of conditions.low_resolution")
