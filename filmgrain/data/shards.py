"""Pictures or clips from tar shards in the WebDataset layout, read where they lie: nothing is unpacked.

Files of one sample share their name up to its first dot: a picture or video, and its .txt (caption), .cls (class) or
.json ("caption" or "text", "label"). A shard is indexed once (`shard_index`), its pictures and videos are decoded once
into the cache, and what cannot be used is refused by name.
"""

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files.folder import natural
from ..files.member import Member
from . import NoData, cache
from . import prepare as decoders
from . import split as splits
from .annotations import Annotations
from .cache import Entry, Scaled
from .clips import Clips, moving
from .listing import Listing
from .prepare import Progress
from .samples import collect
from .shard_index import index
from .stills import Stills
from .transforms import check
from .windows import Window

LABELS = ("auto", "none")


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is taken from shards."""

    folder: str  # of the shards, NAME.tar; sub-folders are searched too; or one shard
    frames: int = 0  # of an item, a clip; 0: items are pictures
    height: int = 64  # pixels
    width: int = 64  # pixels
    labels: str = "auto"  # from .cls or .json: "auto", if there are any; or "none"
    fps: float = 0.0  # of clips: frames a second, resampled by time stamps; 0: each file's own frames
    stride: int | tuple[int, ...] = 1  # of clips: frames of the file from one of an item's to the next; [1, 4]: either
    short: str = "loop"  # clips shorter than an item go on from the start ("loop") or backwards ("mirror")
    crop: str = "centre"  # of what the size's shape leaves over: "centre" or "random"
    flip: bool = False  # left and right exchanged in half of the items
    background: tuple[int, int, int] = (255, 255, 255)  # RGB behind what is transparent
    held_out: float = 0.05  # fraction kept from training, for validation; 0: none; shards train-, val- go first
    cache: str = ""  # folder of decoded files; "": filmgrain/clips in the user's cache folder
    processes: int = 0  # that decode at the same time; 0: one a core

    def __post_init__(self) -> None:
        check(self.height, self.width, self.crop, self.background)
        decoders.check(self.processes)
        splits.check("train", self.held_out)
        if self.frames < 0:
            raise ValueError(f"frames={self.frames} is negative; use 0 for pictures")
        if self.labels not in LABELS:
            raise ValueError(f'labels="{self.labels}" is unknown; use one of {", ".join(LABELS)}')
        _ = self.window  # checks its own fields

    @property
    def shape(self) -> tuple[int, ...]:
        return (3, self.frames, self.height, self.width) if self.frames else (3, self.height, self.width)

    @property
    def window(self) -> Window:
        return Window(frames=max(1, self.frames), fps=self.fps, stride=self.stride, short=self.short)

    @property
    def scaled(self) -> Scaled:
        root = cache.folder(self.cache)
        return Scaled(root=root, height=self.height, width=self.width, background=self.background)


class Dataset:
    """The pictures, or the windows of the clips, of one split. Raises `NoData` if no shard holds one that can be read.

    `classes` are the names that labels count; None where there are no labels.
    """

    def __init__(self, config: Config, split: str = "train", progress: Progress | None = None) -> None:
        splits.check(split, config.held_out)
        self.config, self.split = config, split
        shards = find(Path(config.folder))
        root = Path(config.folder)
        self.listing = Listing(root if root.is_dir() else root.parent)
        self.refused = self.listing.refused
        self.unused = 0  # samples of the other kind
        files, said = self._indexed(shards, progress)
        self.classes = said.classes
        samples = collect(self.listing, files, said, config.scaled, config.processes, progress)
        if config.frames:
            samples = moving(self.listing, samples)
        if all(sample.split == "held_out" for sample in samples):
            raise NoData(self._nothing(len(shards)))
        made: type[Clips] | type[Stills] = Clips if config.frames else Stills
        self.content = made(samples, config, fraction=config.held_out, split=split)

    def __len__(self) -> int:
        return len(self.content)

    def item(self, index: int, rng: random.Random) -> dict[str, Any]:
        return self.content.item(index, rng)

    def shares(self) -> list[tuple[str, Entry, int]]:
        return self.content.shares()

    def texts(self) -> list[str]:
        return self.content.texts()

    def summary(self) -> list[str]:
        lines = self.content.summary(self.classes)
        if self.unused:
            kind, how = ("pictures", "0") if self.config.frames else ("videos", "16")
            lines.append(f"{self.unused:,} {kind} not used; data.frames={how} takes them")
        return lines + self.listing.left_out()

    def _indexed(self, shards: list[Path], progress: Progress | None) -> tuple[list[Member], Annotations]:
        """Every picture, or every video, and what is said of it; what is refused and ignored goes to the listing."""
        files, said = [], Annotations()
        parts = splits.by_name({shard: splits.word(self.listing.name(shard)) for shard in shards})
        for done, shard in enumerate(shards, 1):
            found = index(shard, self.config.scaled.root)
            for row in found.rows:
                if row.moves != bool(self.config.frames):
                    self.unused += 1
                    continue
                member = Member(shard, row.name, row.offset, row.size, row.digest)
                files.append(member)
                label = row.label if self.config.labels == "auto" else None
                told = (row.caption, said.captions), (label, said.labels), (parts.get(shard), said.splits)
                for value, kept in told:
                    if value is not None:
                        kept[member] = value
            for name, reason in found.refused:
                self.listing.refuse(Path(f"{shard}/{name}"), reason)
            self.listing.ignored += found.ignored
            if progress:
                progress(done, len(shards))
        return files, said

    def _nothing(self, shards: int) -> str:
        wanted, other = ("video", "pictures") if self.config.frames else ("picture", "videos")
        first = next((f"; {refused.path}: {refused.reason}" for refused in self.refused), "")
        return (
            f"{self.config.folder} holds no usable {wanted} in its {shards} shards ({self.unused} {other}, "
            f"{len(self.refused)} refused{first}); expected KEY.jpg, .png, .webp, .gif or .mp4 in tar files"
        )


def find(folder: Path) -> list[Path]:
    """The shards of a folder, in natural order; or the one that is given. Raises `NoData`."""
    if folder.is_file():
        return [folder]
    shards = [path for path in folder.rglob("*.tar") if os.path.isfile(path) and not path.name.startswith(".")]
    if not shards:
        raise NoData(f"{folder} {'holds no shards' if folder.is_dir() else 'is not there'}; give a folder of NAME.tar")
    return sorted(shards, key=lambda path: [natural(Path(part)) for part in path.relative_to(folder).parts])
