"""The order of items in shards: every draw is a function of its number, and a shard is read as a whole.

Let an epoch e have N items, so that draw n is its position p = n - eN. The shards are permuted by (seed, e), and the
items of each by (seed, e, shard); one after another they give every item a rank in 0 ... N - 1. The ranks are cut into
L lanes of the same length, and draws are dealt to the lanes in turn, as cards are:

    lane(n) = n mod L,    rank(n) = (ranks of the lanes before) + (draws of the epoch that the lane was dealt before n)

So L shards are open at a time; each item comes once an epoch, and neighbours in a shard do not come one after another.
Of P processes, P a divisor of L, process i takes the draws n = i mod P and with them lanes, and so shards, of its own
(but for the shards that are cut where two lanes meet). Nothing of this depends on P, on workers or on the batch.
"""

import random
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple


class Epoch(NamedTuple):
    """An epoch's order of shards."""

    shards: list[int]
    ends: list[int]  # ranks up to and including each


class Order:
    """lengths: items of each shard. lanes: L."""

    def __init__(self, lengths: Sequence[int], lanes: int) -> None:
        self.lengths, self.lanes = lengths, lanes
        self.ends = list(accumulate(lengths))
        self.total = self.ends[-1] if self.ends else 0
        self._epochs: dict[tuple[int, int], Epoch] = {}

    def index_of(self, n: int, seed: int) -> int:
        """The item of draw n, by its number when shards and items are counted as they lie."""
        epoch, rank = n // self.total, self.rank(n)
        shards, ends = self._epoch(seed, epoch)
        at = bisect_right(ends, rank)
        shard = shards[at]
        length = self.lengths[shard]
        return self.ends[shard] - length + _shuffled(length, seed, epoch, shard)[rank - ends[at] + length]

    def rank(self, n: int) -> int:
        """The place of draw n among those of its epoch, once lanes are laid one after another."""
        epoch, position = divmod(n, self.total)
        lane = n % self.lanes
        first = [(each - epoch * self.total) % self.lanes for each in range(lane + 1)]  # positions of first draws
        before = sum(len(range(start, self.total, self.lanes)) for start in first[:-1])
        return before + (position - first[-1]) // self.lanes

    def place(self, index: int) -> tuple[int, int]:
        """The shard of an item, and its number there."""
        shard = bisect_right(self.ends, index)
        return shard, index - self.ends[shard] + self.lengths[shard]

    def _epoch(self, seed: int, epoch: int) -> Epoch:
        if (seed, epoch) not in self._epochs:
            while len(self._epochs) > 1:  # a batch may straddle two epochs
                del self._epochs[next(iter(self._epochs))]
            shards = list(range(len(self.lengths)))
            random.Random(f"{seed}:shards:{epoch}").shuffle(shards)
            self._epochs[seed, epoch] = Epoch(shards, list(accumulate(self.lengths[shard] for shard in shards)))
        return self._epochs[seed, epoch]


@lru_cache(maxsize=128)  # of the shards that are open; 4 bytes an item
def _shuffled(length: int, seed: int, epoch: int, shard: int) -> Sequence[int]:
    order = list(range(length))
    random.Random(f"{seed}:shard:{epoch}:{shard}").shuffle(order)
    return array("I", order)
