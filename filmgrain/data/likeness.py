"""Whether folders of numbered pictures are films or collections, such as the folders of classes.

In a film, neighbours are more alike than frames that lie apart, or at least than frames of different films. In a
collection, neither holds.
"""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean

import numpy as np

from ..files.folder import pictures_in
from ..files.image import read_image
from ..files.video import Unreadable

FOLDERS, PAIRS = 6, 8  # that are looked at; pairs of each folder
SIDE = 16  # pixels of what is compared
APART, STRANGE = 0.75, 0.5  # neighbours' distance over that of pictures apart, and of strangers; below, it is a film


def unlike(clips: Sequence[Path]) -> bool:
    """Whether these clips are all folders of pictures, two or more, and their pictures no films at all."""
    if len(clips) < 2 or not all(path.is_dir() for path in clips):
        return False
    near, apart, firsts = [], [], []
    for folder in clips[:: -(-len(clips) // FOLDERS)]:
        paths = pictures_in(folder)
        half = len(paths) // 2
        for at in range(0, len(paths) - half, max(1, half // PAIRS)):
            one, next_one, other = (_small(paths[i]) for i in (at, min(at + 1, len(paths) - 1), at + half))
            if one is not None and next_one is not None and other is not None:
                near.append(np.abs(one - next_one).mean())
                apart.append(np.abs(one - other).mean())
                firsts += [one] if at == 0 else []
    strange = [np.abs(a - b).mean() for a, b in combinations(firsts, 2)]
    if not near or not strange:
        return False
    return fmean(near) > APART * fmean(apart) and fmean(near) > STRANGE * fmean(strange)


def _small(path: Path) -> np.ndarray | None:
    try:
        return read_image(path, size=lambda height, width: (SIDE, SIDE)).astype(np.float32)
    except Unreadable:
        return None
