"""Frame skip: one learned vector for each number of frames from one of the item's to the next (Ho et al. 2022).

One more vector is that of a still image, whose skip is 0, and the last that of an item of which nothing is said.
"""

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
    """Which skips there are."""

    skips: tuple[int, ...]  # those of data.stride
    drop: float = 0.1  # of the items are trained without their skip

    def __post_init__(self) -> None:
        if not self.skips or min(self.skips) < 1 or len(set(self.skips)) < len(self.skips):
            raise ValueError(f"skips={list(self.skips)} are not one or more different numbers above 0; use [1, 4]")
        check_drop(self.drop)

    def check_data(self, data: Any) -> None:
        """Raises ValueError for data of a stride that is none of the skips."""
        window = getattr(data, "window", None)
        if window is not None and not set(window.strides) <= set(self.skips):
            raise ValueError(
                f"conditions.frame_skip.skips={list(self.skips)} lack one of data.stride={list(window.strides)}; "
                "give the same numbers"
            )

    def check(self, *, classes: Sequence[str] | None, captions: bool) -> None:
        """Labels and captions are of no matter here."""

    def value_of(self, text: str) -> int:
        """A skip, as typed; 0 is a still. Raises ValueError."""
        known = {str(skip): skip for skip in (0, *self.skips)}
        if text not in known:
            skips = ", ".join(map(str, self.skips))
            raise ValueError(f"frame_skip={text} is no skip that the run was trained with; use one of {skips}")
        return known[text]


class Conditioner(nn.Module):
    key = "frame_skip"

    def __init__(self, config: Config, *, vector: int):
        super().__init__()
        self.skips, self.drop = config.skips, config.drop
        self.rows = {skip: row for row, skip in enumerate((0, *config.skips))}
        self.table = nn.Embedding(len(self.rows) + 1, vector)  # a still, every skip, nothing said

    def forward(self, batch: dict[str, Any], draw: Draw, codec: Codec) -> Cond:
        skips = torch.as_tensor(batch[self.key]).tolist()
        if unknown := set(skips) - self.rows.keys():
            known = list(self.skips)
            raise ValueError(
                f"frame_skip={min(unknown)} is none of {known}; set conditions.frame_skip.skips to data.stride"
            )
        rows = torch.tensor([self.rows[skip] for skip in skips], device=self.table.weight.device)
        return Cond(vector=self.table(rows))

    def null(self, count: int) -> Cond:
        return Cond(vector=self.table.weight[-1:].expand(count, -1))

    def examples(self, count: int) -> Sequence[int]:
        return [self.skips[i % len(self.skips)] for i in range(count)]
