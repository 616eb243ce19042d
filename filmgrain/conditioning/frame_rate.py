"""Frames a second: log2 of the rate -> Linear -> SiLU -> Linear -> one vector; a still, of rate 0, has its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..autoencoders import Codec
from ..diffusion.cond import Cond
from ..diffusion.draw import Draw
from . import check_drop


@dataclass(frozen=True, kw_only=True)
class Config:
    """How the rate is read."""

    width: int = 64  # features of the layer in between
    drop: float = 0.1  # of the items are trained without their rate
    shown: float = 8.0  # frames a second that previews are asked for

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width={self.width} is not positive; use 64")
        check_drop(self.drop)
        if self.shown <= 0:
            raise ValueError(f"shown={self.shown} is not a frame rate; use a number above 0")

    def check(self, *, classes: Sequence[str] | None, captions: bool) -> None:
        """Labels and captions are of no matter here."""

    def value_of(self, text: str) -> float:
        """Frames a second, as typed; 0 is a still. Raises ValueError."""
        try:
            fps = float(text)
        except ValueError:
            fps = -1.0
        if not 0 <= fps < float("inf"):
            raise ValueError(f"frame_rate={text} is no number of frames a second; use one such as {self.shown:g}")
        return fps


class Conditioner(nn.Module):
    key = "fps"

    def __init__(self, config: Config, *, vector: int):
        super().__init__()
        self.drop, self.shown = config.drop, config.shown
        self.layers = nn.Sequential(nn.Linear(1, config.width), nn.SiLU(), nn.Linear(config.width, vector))
        self.still, self.nothing = nn.Parameter(torch.zeros(vector)), nn.Parameter(torch.zeros(vector))

    def forward(self, batch: dict[str, Any], draw: Draw, codec: Codec) -> Cond:
        fps = torch.as_tensor(batch[self.key]).to(self.still)[:, None]  # b 1
        octaves = torch.where(fps > 0, fps, 1).log2()
        return Cond(vector=torch.where(fps > 0, self.layers(octaves), self.still))

    def null(self, count: int) -> Cond:
        return Cond(vector=self.nothing.expand(count, -1))

    def examples(self, count: int) -> Sequence[float]:
        return [self.shown] * count
