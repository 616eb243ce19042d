"""Clips cut from a folder of videos: GIF, MP4, WebM, AVI, MOV, MKV, animated WebP and PNG, folders of frames.

Every file is decoded once, into a cache, before the first item is drawn (`prepare`); what cannot be used is listed in
`refused` and left out. An item is a window in time of one clip (`windows`), its frames cropped and flipped alike.
"""

import bisect
import itertools
import random
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from . import cache
from . import split as splits
from .cache import Entry, Scaled
from .listing import Listing, look, nothing
from .prepare import Progress, prepare
from .transforms import check, view
from .windows import Window

STILL = "is a still: it has a single frame"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which clips are cut from a folder of videos."""

    folder: str  # of the files; sub-folders are searched too
    frames: int = 16  # of an item
    height: int = 64  # pixels
    width: int = 64  # pixels
    fps: float = 0.0  # frames a second, resampled by the files' time stamps; 0: each file's own frames
    stride: int = 1  # frames of the file from one of the item's to the next; 1: all
    short: str = "loop"  # clips shorter than an item go on from the start ("loop") or backwards ("mirror")
    crop: str = "centre"  # of what the size's shape leaves over: "centre" or "random"
    flip: bool = False  # left and right exchanged in half of the items
    background: tuple[int, int, int] = (255, 255, 255)  # RGB behind what is transparent
    held_out: float = 0.05  # fraction of the data kept from training, for validation; 0: none
    cache: str = ""  # folder of decoded clips; "": filmgrain/clips in the user's cache folder
    processes: int = 0  # that decode at the same time; 0: one a core

    def __post_init__(self) -> None:
        check(self.height, self.width, self.crop, self.background)
        if self.processes < 0:
            raise ValueError(f"processes={self.processes} is negative; use 0 for one a core")
        splits.check("train", self.held_out)
        _ = self.window  # checks its own fields

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return 3, self.frames, self.height, self.width

    @property
    def window(self) -> Window:
        return Window(frames=self.frames, fps=self.fps, stride=self.stride, short=self.short)

    @property
    def scaled(self) -> Scaled:
        root = cache.folder(self.cache)
        return Scaled(root=root, height=self.height, width=self.width, background=self.background)


@dataclass(frozen=True)
class Part:
    """The frames [first, last) of a clip, which belong to one split."""

    name: str  # of the file, relative to the folder
    entry: Entry = field(repr=False)
    first: int
    last: int

    @cached_property
    def times(self) -> np.ndarray:
        """Starts of its frames in seconds from the first of them."""
        return np.array(self.entry.times[self.first : self.last]) - self.entry.times[self.first]

    @cached_property
    def duration(self) -> float:
        end = self.entry.times[self.last] if self.last < len(self.entry.times) else self.entry.duration
        return end - self.entry.times[self.first]


class Dataset:
    """Windows of the clips of one split. Raises `NoData` if the folder holds no usable video."""

    def __init__(self, config: Config, split: str = "train", progress: Progress | None = None) -> None:
        splits.check(split, config.held_out)
        self.config, self.split = config, split
        self.listing = look(config.folder)
        self.refused = self.listing.refused
        results = prepare(self.listing.videos, config.scaled, processes=config.processes, progress=progress)
        clips = usable(self.listing, results)
        if not clips:
            raise nothing(self.listing, "video")
        self.parts = divide(clips, config.window, config.held_out)[split]
        self.items = [config.window.items(part.times, part.duration) for part in self.parts]
        self.ends = list(itertools.accumulate(self.items))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def item(self, index: int, rng: random.Random) -> dict[str, Any]:
        config, part = self.config, self.parts[bisect.bisect_right(self.ends, index)]
        window = config.window.draw(part.times, part.duration, rng) + part.first
        x = view(
            part.entry.frames(), window, (config.height, config.width), crop=config.crop, flip=config.flip, rng=rng
        )
        return {"x": x, "source": part.name}

    def shares(self) -> list[tuple[str, Entry, int]]:
        """Each file's name, entry and items an epoch."""
        return [(part.name, part.entry, items) for part, items in zip(self.parts, self.items, strict=True)]

    def summary(self) -> list[str]:
        frames = sum(part.last - part.first for part in self.parts)
        lines = [f"{self.split}: {len(self):,} windows of {len(self.parts):,} clips ({frames:,} frames)"]
        if self.split == "held_out" and not self.parts:
            lines = [f"held_out: nothing; it takes {splits.ENOUGH} clips, or clips of four windows"]
        folders = {path for path in self.listing.videos if path.is_dir()}  # whose stills are frames
        if stills := sum(path.parent not in folders for path in self.listing.stills):
            lines.append(f'{stills:,} stills not used; data.name="image_folder" takes them')
        return lines + self.listing.left_out()


def usable(listing: Listing, results: list[Entry | str]) -> list[tuple[str, Entry]]:
    """The decoded clips with their names; what is none is added to the listing's refused."""
    clips = []
    for path, result in zip(listing.videos, results, strict=True):
        if isinstance(result, Entry) and len(result.times) > 1:
            clips.append((listing.name(path), result))
        else:
            listing.refuse(path, result if isinstance(result, str) else STILL)
    for path in listing.stills:
        if path.suffix.lower() == ".gif":
            listing.refuse(path, STILL)
    listing.refused.sort(key=lambda refused: refused.path)
    return clips


def divide(clips: list[tuple[str, Entry]], window: Window, fraction: float) -> dict[str, list[Part]]:
    """Train and held-out parts, which share no frame: whole clips if there are enough, else the ends of long ones."""
    held_out = splits.by_content([entry.digest for _, entry in clips], fraction)
    parts: dict[str, list[Part]] = {split: [] for split in splits.SPLITS}
    for name, entry in clips:
        count = len(entry.times)
        if held_out or not fraction:
            cut = 0 if entry.digest in held_out else count
        else:
            cut = window.cut(np.array(entry.times), entry.duration, fraction) or count
        if cut > 0:
            parts["train"].append(Part(name, entry, 0, cut))
        if cut < count:
            parts["held_out"].append(Part(name, entry, cut, count))
    return parts
