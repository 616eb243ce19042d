"""Datasets of files that are decoded beforehand: their items are those of one split's clips, or stills."""

import random
from typing import Any

from .cache import Entry
from .clips import Clips
from .stills import Stills


class Decoded:
    """What such datasets have in common, once they have found their `content`."""

    content: Clips | Stills

    def __len__(self) -> int:
        return len(self.content)

    def item(self, index: int, rng: random.Random) -> dict[str, Any]:
        return self.content.item(index, rng)

    def shares(self) -> list[tuple[str, Entry, int]]:
        """Each file's name, entry and items an epoch."""
        return self.content.shares()

    def texts(self) -> list[str]:
        """Every caption."""
        return self.content.texts()
