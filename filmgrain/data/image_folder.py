"""Pictures of any mode and size from a folder and its sub-folders, scaled to cover one size and cropped to it.

Decoded once into the cache, as videos are; what moves is left to video_folder.
"""

import random
from dataclasses import dataclass
from typing import Any

from . import cache
from . import split as splits
from .cache import Entry, Scaled
from .listing import look, nothing
from .prepare import Progress, prepare
from .transforms import check, view


@dataclass(frozen=True, kw_only=True)
class Config:
    """How pictures are taken from a folder."""

    folder: str  # of the files; sub-folders are searched too
    height: int = 64  # pixels
    width: int = 64  # pixels
    crop: str = "centre"  # of what the size's shape leaves over: "centre" or "random"
    flip: bool = False  # left and right exchanged in half of the items
    background: tuple[int, int, int] = (255, 255, 255)  # RGB behind what is transparent
    held_out: float = 0.05  # fraction of the pictures kept from training, for validation; 0: none
    cache: str = ""  # folder of decoded pictures; "": filmgrain/clips in the user's cache folder
    processes: int = 0  # that decode at the same time; 0: one a core

    def __post_init__(self) -> None:
        check(self.height, self.width, self.crop, self.background)
        if self.processes < 0:
            raise ValueError(f"processes={self.processes} is negative; use 0 for one a core")
        splits.check("train", self.held_out)

    @property
    def shape(self) -> tuple[int, int, int]:
        return 3, self.height, self.width

    @property
    def scaled(self) -> Scaled:
        root = cache.folder(self.cache)
        return Scaled(root=root, height=self.height, width=self.width, background=self.background)


class Dataset:
    """The pictures of one split. Raises `NoData` if the folder holds none that can be read."""

    def __init__(self, config: Config, split: str = "train", progress: Progress | None = None) -> None:
        splits.check(split, config.held_out)
        self.config, self.split = config, split
        self.listing = look(config.folder)
        self.refused = self.listing.refused
        results = prepare(self.listing.stills, config.scaled, processes=config.processes, progress=progress)
        pictures: list[tuple[str, Entry]] = []
        for path, result in zip(self.listing.stills, results, strict=True):
            if isinstance(result, Entry):
                pictures.append((self.listing.name(path), result))
            else:
                self.listing.refuse(path, result)
        if not pictures:
            raise nothing(self.listing, "still")
        held_out = splits.by_content([entry.digest for _, entry in pictures], config.held_out)
        self.pictures = [picture for picture in pictures if (picture[1].digest in held_out) == (split == "held_out")]

    def __len__(self) -> int:
        return len(self.pictures)

    def item(self, index: int, rng: random.Random) -> dict[str, Any]:
        config, (name, entry) = self.config, self.pictures[index]
        size = config.height, config.width
        x = view(entry.frames(), [0], size, crop=config.crop, flip=config.flip, rng=rng)
        return {"x": x[:, 0], "source": name}

    def shares(self) -> list[tuple[str, Entry, int]]:
        """Each file's name, entry and items an epoch."""
        return [(name, entry, 1) for name, entry in self.pictures]

    def summary(self) -> list[str]:
        lines = [f"{self.split}: {len(self):,} pictures"]
        if self.split == "held_out" and not self.pictures:
            lines = [f"held_out: nothing; it takes {splits.ENOUGH} different pictures"]
        if self.listing.videos:
            lines.append(f'{len(self.listing.videos):,} videos not used; data.name="video_folder" takes them')
        return lines + self.listing.left_out()
