"""Windows in time of the clips of one split, their frames cropped and flipped alike."""

import bisect
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from . import split as splits
from .cache import Entry
from .listing import Listing, Refused
from .samples import Sample, captioned, counted
from .transforms import Framed, view
from .windows import Window

STILL = "is a still: it has a single frame"


class Timed(Framed, Protocol):
    """What a format's Config says of windows."""

    @property
    def window(self) -> Window: ...


@dataclass(frozen=True)
class Part:
    """The frames [first, last) of a clip, which belong to one split."""

    sample: Sample
    first: int
    last: int

    @property
    def name(self) -> str:
        return self.sample.name

    @property
    def entry(self) -> Entry:
        return self.sample.entry

    @cached_property
    def times(self) -> np.ndarray:
        """Starts of its frames in seconds from the first of them."""
        return np.array(self.entry.times[self.first : self.last]) - self.entry.times[self.first]

    @cached_property
    def duration(self) -> float:
        end = self.entry.times[self.last] if self.last < len(self.entry.times) else self.entry.duration
        return end - self.entry.times[self.first]


class Clips:
    """Of a dataset whose samples are clips: its length, items, shares and the first line of its summary."""

    def __init__(self, samples: Sequence[Sample], config: Timed, *, fraction: float, split: str) -> None:
        self.config, self.fraction, self.split = config, fraction, split
        self.window = config.window
        self.parts = divide(samples, self.window, fraction)[split]
        self.items = [self.window.items(part.times, part.duration) for part in self.parts]
        self.ends = list(itertools.accumulate(self.items))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def item(self, index: int, rng: random.Random) -> dict[str, Any]:
        part = self.parts[bisect.bisect_right(self.ends, index)]
        window = self.window.one(rng)
        frames = window.draw(part.times, part.duration, rng)
        x = view(part.entry.frames()[:, part.first : part.last], frames, self.config, rng)
        pace = {"fps": window.fps_of(part.times, part.duration), "frame_skip": window.strides[0]}
        return {"x": x, "source": part.name, **pace, **part.sample.said(rng)}

    def shares(self) -> list[tuple[str, Entry, int]]:
        """Each file's name, entry and items an epoch."""
        return [(part.name, part.entry, items) for part, items in zip(self.parts, self.items, strict=True)]

    def summary(self, classes: Sequence[str] | None = None) -> list[str]:
        frames = sum(part.last - part.first for part in self.parts)
        if not self.parts:
            why = f"it takes {splits.ENOUGH} clips, or clips of four windows" if self.fraction else "data.held_out=0"
            return [f"{self.split}: nothing; {why}"]
        lines = [f"{self.split}: {len(self):,} windows of {len(self.parts):,} clips ({frames:,} frames)"]
        if classes:
            labels = [part.sample.notes["label"] for part in self.parts]
            lines.append(counted(self.split, classes, labels, "clips"))
        return lines + captioned(self.split, [part.sample for part in self.parts], "clips")

    def texts(self) -> list[str]:
        """Every caption."""
        return [caption for part in self.parts for caption in part.sample.captions]


def moving(listing: Listing, samples: Sequence[Sample]) -> list[Sample]:
    """The samples of two frames or more; the others are added to the listing's refused."""
    listing.refused += [Refused(sample.name, STILL) for sample in samples if len(sample.entry.times) < 2]
    listing.refused.sort(key=lambda refused: refused.path)
    return [sample for sample in samples if len(sample.entry.times) > 1]


def divide(samples: Sequence[Sample], window: Window, fraction: float) -> dict[str, list[Part]]:
    """Train and held-out parts, which share no frame: whole clips if there are enough, else the ends of long ones."""
    named = any(sample.split for sample in samples)
    held_out = splits.by_content([sample.entry.digest for sample in samples], fraction)
    parts: dict[str, list[Part]] = {split: [] for split in splits.SPLITS}
    for sample in samples:
        count = len(sample.entry.times)
        if named:
            cut = count if sample.split == "train" else 0
        elif held_out or not fraction:
            cut = 0 if sample.entry.digest in held_out else count
        else:
            cut = window.cut(np.array(sample.entry.times), sample.entry.duration, fraction) or count
        if cut > 0:
            parts["train"].append(Part(sample, 0, cut))
        if cut < count:
            parts["held_out"].append(Part(sample, cut, count))
    return parts
