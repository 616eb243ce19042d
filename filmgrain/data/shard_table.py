"""Of one shard's index, what a split takes: which lines, and how many items each gives. A few bytes a sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import split as splits
from .shard_index import rows
from .tar_index import Row
from .windows import Window

OPEN = 64  # tables that stay in memory; those of other shards are made again from their indices


class Wanted(NamedTuple):
    """Which samples of a shard."""

    window: Window
    moves: bool  # clips, or else pictures
    labelled: bool  # only those with a class
    split: str
    held_out: float  # fraction that is held out by content
    part: str  # split that the shard's name stands for; "" for none


@dataclass(frozen=True)
class Table:
    lines: np.ndarray  # int64, offset of each sample's line in the index
    ends: np.ndarray  # int64, items up to and including each sample

    @property
    def length(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def line(self, item: int) -> int:
        return int(self.lines[np.searchsorted(self.ends, item, side="right")])


@lru_cache(OPEN)
def table(index: Path, wanted: Wanted) -> Table:
    """Raises `shard_index.Damaged`."""
    if wanted.part and wanted.part != wanted.split:
        return Table(np.empty(0, np.int64), np.empty(0, np.int64))
    taken = [(offset, _items(row, wanted)) for offset, row in rows(index) if _is_wanted(row, wanted)]
    lines, items = np.array(taken, np.int64).reshape(-1, 2).T
    return Table(lines.copy(), items.cumsum())


def by_split(names: Sequence[str]) -> list[str]:
    """The split that each shard's name speaks of (train-0001.tar, val/0001.tar), if every name does; else ""."""
    parts = splits.by_name({name: splits.word(name) for name in names})
    return [parts.get(name, "") for name in names]


def _is_wanted(row: Row, wanted: Wanted) -> bool:
    if row.moves != wanted.moves or (wanted.moves and row.frames < 2) or (wanted.labelled and row.label is None):
        return False
    return bool(wanted.part) or splits.is_held_out(row.digest, wanted.held_out) == (wanted.split == "held_out")


def _items(row: Row, wanted: Wanted) -> int:
    times = np.broadcast_to(0.0, row.frames)  # a window's count asks how many there are
    return wanted.window.items(times, row.duration) if wanted.moves else 1
