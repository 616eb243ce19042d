"""Pictures or clips from tar shards that need not fit on this machine: from a folder or any URL, as they are needed.

Nothing is decoded beforehand and no decoded frame is kept, which is what `shards` does with data that fit. Of a URL's
shards as many are on this disk as `room` has place for. An epoch goes through `lanes` shards at a time (`shard_order`),
and is a function of the seed alone, so a run resumes at a draw's number on any number of workers and processes. What
comes from a shard is held against the hash in its index.

A shard that is gone or was changed costs its own draws and moves no other. The lost draw n takes what its own dice,
Random(f"{seed}:{n}"), choose among all items, as often as it takes: a function of n and of what can be read. It is the
same with a file that cannot be decoded after all. Of a shard without an index nothing is known, and the order is that
of the folder without it.
"""

import hashlib
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files.image import read_image
from ..files.member import Member
from ..files.video import Unreadable, read
from . import NoData, cache, shard_index, shard_source
from . import split as splits
from .annotations import in_order
from .listing import Refused
from .prepare import Progress
from .shard_cache import Shard, ShardChanged, Shelf
from .shard_config import Taken
from .shard_order import Order
from .shard_table import Wanted, by_split, table
from .tar_index import Row
from .transforms import cover, view

TRIES = 64  # draws for one item, of which one must be read
_told: set[str] = set()  # shards and files that were left out, and that this process has said so of


@dataclass(frozen=True, kw_only=True)
class Config(Taken):
    """What is taken from shards, and how many are open at a time."""

    folder: str  # of the shards, NAME.tar; or their URL: http://, s3://, gs://, ...; or NAME-{000..127}.tar
    lanes: int = 8  # shards that are read at a time; a multiple of the processes that train together
    room: float = 20.0  # GB (10⁹ bytes) of this disk for shards of a URL; more than `lanes` shards have
    cache: str = ""  # folder of indices and fetched shards; "": filmgrain/clips in the user's cache folder

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lanes < 1 or self.room <= 0:
            raise ValueError(f"lanes={self.lanes} and room={self.room:g}: expected 1 lane or more, and some GB")

    @property
    def shelf(self) -> Shelf:
        return Shelf(root=cache.folder(self.cache) / "shards", room=int(self.room * 1e9))


class Dataset:
    """The pictures, or the windows of the clips, of one split. Raises `NoData` if no shard says that it holds one.

    `classes` are the names that labels count; None where there are no labels.
    """

    def __init__(self, config: Config, split: str = "train", progress: Progress | None = None) -> None:
        splits.check(split, config.held_out)
        self.config, self.split, self.shelf = config, split, config.shelf
        found = shard_source.find(config.folder, self.shelf, cache.folder(config.cache), progress)
        heads = [shard_index.head(shard.index) for shard in found.shards]
        told = [head.clips if config.frames else head.pictures for head in heads]
        labels = in_order(label for kind in told for label in kind.labels) if config.labels == "auto" else []
        self.classes = labels or None
        self.numbers = {name: number for number, name in enumerate(labels)}
        self.captions = any(kind.captions for kind in told)
        self.unlabelled = sum(kind.unlabelled for kind in told) if labels else 0
        self.refused = [Refused(name, why) for name, why in found.refused]
        for shard, head in zip(found.shards, heads, strict=True):
            self.refused += [Refused(f"{shard.name}/{name}".rstrip("/"), why) for name, why in head.refused]
        self.unused = sum((head.pictures if config.frames else head.clips).count for head in heads)  # of the other kind
        self.shards, self.wanted, lengths = [], [], []  # of the shards that hold an item
        for shard, part in zip(found.shards, by_split([shard.name for shard in found.shards]), strict=True):
            wanted = Wanted(config.window, bool(config.frames), bool(labels), split, config.held_out, part)
            if length := table(shard.index, wanted).length:
                self.shards.append(shard)
                self.wanted.append(wanted)
                lengths.append(length)
        self.order = Order(lengths, config.lanes)
        if not self.order.total and split == "train":
            raise config.nothing(len(found.shards), self.unused, self.refused)
        self._check_room()

    def __len__(self) -> int:
        return self.order.total

    def index_of(self, n: int, seed: int) -> int:
        """The item of draw n: the loader asks this of data that have an order of their own."""
        return self.order.index_of(n, seed)

    def item(self, index: int, rng: random.Random) -> dict[str, Any]:
        for _ in range(TRIES):
            number, place = self.order.place(index)
            shard, rows = self.shards[number], table(self.shards[number].index, self.wanted[number])
            row = shard_index.row(shard.index, rows.line(place), shard.bytes)
            try:
                return self._made(shard, row, rng)
            except ShardChanged as error:
                lost: Exception = error
                _tell(shard.name, f"{error}; others are drawn in place of it")
            except Unreadable as error:
                lost = NoData(str(error))
                name = f"{shard.name}/{row.name}"
                _tell(name, f"{name}: {error.reason}; others are drawn in place of it")
            index = rng.randrange(len(self))
        raise type(lost)(f"{self.config.folder}: {TRIES} draws in a row cannot be read, the last one {lost}")

    def summary(self) -> list[str]:
        kind = "windows of clips" if self.config.frames else "pictures"
        if not len(self):
            return [f"{self.split}: nothing; by content, it takes about {self._enough()}, or shards named val-"]
        size = sum(shard.bytes for shard in self.shards) / 1e9
        lines = [f"{self.split}: {len(self):,} {kind} in {len(self.shards):,} shards ({size:.3g} GB), read as needed"]
        if self.classes:
            lines.append(f"{self.split}: {len(self.classes):,} classes: {', '.join(self.classes[:20])}"[:500])
        if self.unlabelled:
            lines.append(f'{self.unlabelled:,} samples have no label and are not used; data.labels="none" takes them')
        lines += self.config.not_used(self.unused)
        return lines + [f"refused {refused.path}: {refused.reason}" for refused in self.refused]

    def _made(self, shard: Shard, row: Row, rng: random.Random) -> dict[str, Any]:
        content = self.shelf.read(shard, row.offset, row.size)
        if hashlib.sha256(content).hexdigest() != row.digest:
            what = f"{row.name} is not what its index says; it was changed since: make the shard or its index anew"
            raise ShardChanged(f"{shard.place}: {what}")
        member = Member(Path(shard.name), row.name, row.offset, row.size, row.digest, content)
        notes: dict[str, Any] = {"source": f"{shard.name}/{row.name}"}
        if self.classes and row.label is not None:
            notes["label"] = self.numbers[row.label]
        if self.captions:
            notes["caption"] = row.caption or ""
        return {**self._drawn(member, rng), **notes}

    def _drawn(self, member: Member, rng: random.Random) -> dict[str, Any]:
        """x, and the pace of a window."""
        config = self.config

        def size(height: int, width: int) -> tuple[int, int]:
            return cover(height, width, (config.height, config.width))

        if not config.frames:
            still = read_image(member, background=config.background, size=size)
            return {"x": view(still.transpose(2, 0, 1)[:, None], range(1), config, rng)[:, 0]}
        clip, window = read(member, background=config.background, size=size), config.window.one(rng)
        frames = window.draw(clip.times, clip.duration, rng)
        pace = {"fps": window.fps_of(clip.times, clip.duration), "frame_skip": window.strides[0]}
        return {"x": view(clip.frames.transpose(3, 0, 1, 2), frames, config, rng), **pace}

    def _check_room(self) -> None:
        largest = max((shard.bytes for shard in self.shards if shard.is_remote), default=0)
        if (needed := largest * (min(self.config.lanes, len(self.shards)) + 1)) > self.shelf.room:
            raise NoData(
                f"data.room={self.config.room:g} GB has no place for data.lanes={self.config.lanes} shards of up to "
                f"{largest / 1e9:.3g} GB and one more; use {needed / 1e9:.3g} or more, or fewer lanes"
            )

    def _enough(self) -> str:
        return f"{1 / self.config.held_out:.0f} files" if self.config.held_out else "data.held_out above 0"


def _tell(name: str, line: str) -> None:
    if name not in _told and len(_told) < 1000:
        _told.add(name)
        print(f"left out {line}", file=sys.stderr)
