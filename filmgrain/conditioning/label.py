"""A class label: one learned vector a class, and one more for no class at all."""

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
    """The classes of the data."""

    names: tuple[str, ...]  # of the classes, in the order of their labels
    drop: float = 0.1  # of the items are trained without their label; 0 leaves nothing to guide by

    def __post_init__(self) -> None:
        if len(self.names) < 2 or len(set(self.names)) < len(self.names):
            raise ValueError(f"names={list(self.names)} are not two or more different classes; name each of them once")
        check_drop(self.drop)

    def check(self, *, classes: Sequence[str] | None, captions: bool) -> None:
        """Raises ValueError where data with these classes are not what the names say; None is data without labels."""
        if classes is None:
            raise ValueError("conditions.label needs data with labels; these have none")
        if tuple(classes) != self.names:
            differ = set(classes) ^ set(self.names)
            which = f", they differ in {', '.join(sorted(differ)[:4])}" if differ else ", their order differs"
            raise ValueError(
                f"the data have {len(classes)} classes and conditions.label names {len(self.names)}{which}; "
                "set conditions.label.names to the classes of the data"
            )

    def label_of(self, name: str) -> int:
        """The label of a class given by its name, or by its number. Raises ValueError."""
        folded = [known.casefold() for known in self.names]
        if name.casefold() in folded:
            return folded.index(name.casefold())
        if name.isdecimal() and int(name) < len(self.names):
            return int(name)
        raise ValueError(f'there is no class "{name}"; the classes are {", ".join(self.names)}')


class Conditioner(nn.Module):
    key = "label"

    def __init__(self, config: Config, *, vector: int):
        super().__init__()
        self.classes, self.drop = len(config.names), config.drop
        self.table = nn.Embedding(self.classes + 1, vector)  # the last row is no class

    def forward(self, batch: dict[str, Any], draw: Draw, codec: Codec) -> Cond:
        labels = torch.as_tensor(batch[self.key])
        wrong = (labels < 0) | (labels >= self.classes)
        if labels.device.type == "cpu" and wrong.any():  # a GPU would have to be waited for
            raise ValueError(f"label {labels[wrong][0]} is none of the {self.classes} classes, 0 to {self.classes - 1}")
        return Cond(vector=self.table(labels.to(self.table.weight.device)))

    def null(self, count: int) -> Cond:
        return Cond(vector=self.table.weight[-1:].expand(count, -1))

    def examples(self, count: int) -> Sequence[int]:
        return [i % self.classes for i in range(count)]
