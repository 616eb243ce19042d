"""What becomes of every file of a folder, told before any training.

`plan` decodes into the cache what training would decode, so that it knows of every file what will be, and training
begins at once after it.
"""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from . import image_folder, video_folder
from .prepare import Progress
from .split import SPLITS
from .suggest import Suggestion, suggest

__all__ = ["Fate", "Plan", "Suggestion", "plan", "suggest"]


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What becomes of one file."""

    path: str  # relative to the folder
    frames: int = 0
    fps: float = 0.0  # 0 for a still
    height: int = 0  # pixels
    width: int = 0  # pixels
    scaled: tuple[int, int] = (0, 0)  # height and width before the crop, pixels
    kept: float = 0.0  # fraction of the picture that the crop leaves
    train: int = 0  # items an epoch
    held_out: int = 0  # items to validate on
    refused: str = ""  # why it is not used; "" if it is


@dataclass(frozen=True)
class Plan:
    fates: list[Fate]  # files that are used, then those refused
    ignored: Counter[str]  # files that are no media, by suffix
    summary: list[str]  # of both splits


def plan(config: video_folder.Config | image_folder.Config, progress: Progress | None = None) -> Plan:
    """What becomes of every file. Raises `NoData` if none can be used."""
    dataset: type[Any] = video_folder.Dataset if isinstance(config, video_folder.Config) else image_folder.Dataset
    fates: dict[str, Fate] = {}
    summary: dict[str, None] = {}  # without repetition, in order
    for split in SPLITS:
        data = dataset(config, split, progress)
        summary |= dict.fromkeys(data.summary())
        for name, entry, items in data.shares():
            fate = fates.get(name) or _of(name, entry, config)
            fates[name] = replace(fate, **{split: items})
    refused = [Fate(path=refused.path, refused=refused.reason) for refused in data.refused]
    return Plan([*fates.values(), *refused], data.listing.ignored, list(summary))


def _of(name: str, entry: video_folder.Entry, config: video_folder.Config | image_folder.Config) -> Fate:
    frames, height, width, _ = entry.shape
    return Fate(
        path=name,
        frames=frames,
        fps=frames / entry.duration if entry.duration else 0.0,
        height=entry.height,
        width=entry.width,
        scaled=(height, width),
        kept=config.height * config.width / (height * width),
    )
