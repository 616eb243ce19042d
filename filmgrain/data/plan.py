"""What becomes of every file of a folder, told before any training.

The datasets have decoded into the cache what training would decode, so that it is known of every file what will be, and
training begins at once after it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .cache import Entry
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
    fates: list[Fate]  # files that are used, then those refused; none for data that are one archive
    ignored: Counter[str]  # files that are no media, by suffix
    summary: list[str]  # of both splits
    items: int  # an epoch of training


def plan(datasets: Mapping[str, Any]) -> Plan:
    """What the datasets of both splits, by the name of the split, make of their files."""
    fates: dict[str, Fate] = {}
    summary: dict[str, None] = {}  # without repetition, in order
    for split, data in datasets.items():
        summary |= dict.fromkeys(data.summary())
        for name, entry, items in data.shares() if hasattr(data, "shares") else ():
            fate = fates.get(name) or _of(name, entry, data.config)
            fates[name] = replace(fate, **{split: items})
    train = datasets["train"]
    refused = [Fate(path=file.path, refused=file.reason) for file in getattr(train, "refused", ())]
    ignored = train.listing.ignored if hasattr(train, "listing") else Counter()
    return Plan([*fates.values(), *refused], ignored, list(summary), len(train))


def _of(name: str, entry: Entry, config: Any) -> Fate:
    _, frames, height, width = entry.shape
    return Fate(
        path=name,
        frames=frames,
        fps=frames / entry.duration if entry.duration else 0.0,
        height=entry.height,
        width=entry.width,
        scaled=(height, width),
        kept=config.height * config.width / (height * width),
    )
