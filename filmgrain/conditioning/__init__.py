"""Conditions: what a model is told beside the noisy x0. One a file, `Config` and `Conditioner`: a batch to its Cond.

A conditioner projects to the widths that the network takes, and owns its null, the condition of knowing nothing: a part
of the items is trained with it, so that one network is both the conditional and the unconditional model (Ho & Salimans
2022, Classifier-Free Diffusion Guidance). Of a Config,

    check(classes=..., captions=...)   raises ValueError where the data have not what it needs: the names of their
                                       classes, or None, and whether their items have captions
    check_data(config)                 if there: the same of what the data's Config says, such as its shape
    maps                               if there: how many channels of Cond.maps it fills
    remarks(captions)                  if there, of the key "caption": a sentence each on what of them is not read

A Conditioner that reads with something that is not saved has confirm(), which raises where that is not what it was
trained with.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from ..autoencoders import Codec
from ..diffusion.cond import Cond
from ..diffusion.draw import Draw


@runtime_checkable
class Conditioner(Protocol):
    """An nn.Module, made by Conditioner(config, vector=...) with the features of the network's Cond.vector."""

    key: str  # of the batch, whose values it is given
    drop: float  # of the items are trained with the null condition

    def __call__(self, batch: dict[str, Any], draw: Draw, codec: Codec) -> Cond: ...

    def null(self, count: int) -> Cond:
        """The condition of knowing nothing, for `count` samples."""

    def examples(self, count: int) -> Sequence[Any]:
        """Values of `batch[key]` for previews, the same every time; empty: those of held-out data are."""


def check_drop(drop: float) -> None:
    """Raises ValueError unless some items keep their condition."""
    if not 0 <= drop < 1:
        raise ValueError(f"drop={drop} is not a part of the items; use one in [0, 1), such as 0.1")
