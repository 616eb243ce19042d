"""The pictures of one split, cropped and flipped as drawn."""

import random
from collections.abc import Sequence
from typing import Any

from . import split as splits
from .cache import Entry
from .samples import Sample, captioned, counted, of_split
from .transforms import Framed, view


class Stills:
    """Of a dataset whose samples are pictures: its length, items, shares and the first lines of its summary."""

    def __init__(self, samples: Sequence[Sample], config: Framed, *, fraction: float, split: str) -> None:
        self.config, self.fraction, self.split = config, fraction, split
        self.samples = of_split(samples, fraction, split)

    def __len__(self) -> int:
        return len(self.samples)

    def item(self, index: int, rng: random.Random) -> dict[str, Any]:
        sample = self.samples[index]
        x = view(sample.entry.frames(), range(1), self.config, rng)
        return {"x": x[:, 0], "source": sample.name, **sample.said(rng)}

    def shares(self) -> list[tuple[str, Entry, int]]:
        """Each file's name, entry and items an epoch."""
        return [(sample.name, sample.entry, 1) for sample in self.samples]

    def summary(self, classes: Sequence[str] | None = None) -> list[str]:
        if not self.samples:
            why = f"it takes {splits.ENOUGH} different pictures" if self.fraction else "data.held_out=0"
            return [f"{self.split}: nothing; {why}"]
        areas = {sample.entry.height * sample.entry.width: sample.entry for sample in self.samples}
        sizes = dict.fromkeys(f"{e.width}x{e.height}" for e in (areas[min(areas)], areas[max(areas)]))
        lines = [f"{self.split}: {len(self):,} pictures of {' to '.join(sizes)} pixels"]
        if classes:
            lines.append(counted(self.split, classes, [sample.notes["label"] for sample in self.samples]))
        return lines + captioned(self.split, self.samples, "pictures")

    def texts(self) -> list[str]:
        """Every caption."""
        return [caption for sample in self.samples for caption in sample.captions]
