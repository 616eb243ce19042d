"""Data: one dataset format a file, and the loader that makes batches of any of them.

A dataset module holds `Config`, a frozen dataclass with a property `shape`, and `Dataset(config, split)`, which keeps
to the protocol below. The file's name is the name that users type: `data.name = "video_folder"`.
"""

import random
from typing import Any, Protocol

__all__ = ["Dataset", "NoData"]


class NoData(Exception):
    """A folder that nothing can be learnt from; one line says what was found and what was expected."""


class Dataset(Protocol):
    """What the loader asks of a dataset: a length, and items that are functions of an index and a draw's own dice.

    One that is best read in an order of its own also has index_of(n, seed), the item of draw n: each once an epoch.
    """

    def __len__(self) -> int:
        """Items an epoch; 0 is an empty split."""
        ...

    def item(self, index: int, rng: random.Random) -> dict[str, Any]:
        """One item: "x" uint8 (c f h w) or (c h w), "source" where it came from, and whatever else the dataset knows.

        A function of (index, the state of `rng`) alone, with the same keys for every item: "label", a number, if the
        dataset has `classes`, the list of their names; "caption", a text, "" where there is none.
        """
        ...

    def summary(self) -> list[str]:
        """What was found, what was left out and why: lines to print before training."""
        ...
