"""Small pictures with labels that lie in memory as one array: what MNIST's family and CIFAR have in common."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Protocol

import numpy as np

from . import NoData
from . import split as splits
from .samples import counted
from .transforms import FITS, fitted, flipped


class Placed(Protocol):
    """What a format's Config says of the way from a picture to x."""

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def fit(self) -> str: ...

    @property
    def flip(self) -> bool: ...

    @property
    def held_out(self) -> float: ...


@dataclass(frozen=True)
class Pictures:
    """Some pictures of one file, or of one archive."""

    origin: str  # the file's name
    pixels: np.ndarray  # uint8 (n h w c)
    labels: np.ndarray | None  # int64 (n); None for pictures without
    numbers: np.ndarray  # int64 (n): which pictures of the origin these are

    def __len__(self) -> int:
        return len(self.pixels)

    def item(self, index: int, config: Placed, rng: random.Random) -> dict[str, Any]:
        x = fitted(self.pixels[index], (config.height, config.width), config.fit).transpose(2, 0, 1)
        item = {"x": flipped(x, config.flip, rng), "source": f"{self.origin}:{self.numbers[index]}"}
        return item if self.labels is None else item | {"label": int(self.labels[index])}

    def summary(self, split: str, classes: Sequence[str] | None) -> list[str]:
        if not len(self):
            return [f"{split}: nothing; {self.origin} is not there, and data.held_out=0"]
        height, width, channels = self.pixels.shape[1:]
        lines = [f"{split}: {len(self):,} pictures of {width}x{height}, {'grey' if channels == 1 else 'in colour'}"]
        if classes is not None and self.labels is not None:
            lines.append(counted(split, classes, self.labels.tolist()))
        return lines


def pictures(origin: str, pixels: np.ndarray, labels: np.ndarray | None) -> Pictures:
    return Pictures(origin, pixels, labels, np.arange(len(pixels)))


def check(config: Placed) -> None:
    """Raises ValueError for settings that no picture can be placed by."""
    if min(config.height, config.width) < 1:
        raise ValueError(f"height={config.height} and width={config.width} must be at least 1 pixel")
    if config.fit not in FITS:
        raise ValueError(f'fit="{config.fit}" is unknown; use one of {", ".join(FITS)}')
    splits.check("train", config.held_out)


def of_split(config: Placed, split: str, read: Callable[[str], Pictures]) -> Pictures:
    """The pictures of a split: the data's own, or by the hash of their content where config.held_out is a part.

    read gives those of the data's own splits. Raises `NoData` for those that do not fit in.
    """
    splits.check(split, config.held_out)
    found = read("train" if config.held_out else split)
    height, width = found.pixels.shape[1:3]
    if config.fit == "pad" and (height > config.height or width > config.width):
        raise NoData(
            f"{found.origin}: pictures of {width}x{height} are larger than data.width={config.width}, "
            f'data.height={config.height}; set data.fit="scale", or a larger size'
        )
    if not config.held_out:
        return found
    digests = [sha256(picture).hexdigest() for picture in found.pixels]
    held_out = splits.by_content(digests, config.held_out)
    chosen = np.array([(digest in held_out) == (split == "held_out") for digest in digests], bool)
    labels = None if found.labels is None else found.labels[chosen]
    return replace(found, pixels=found.pixels[chosen], labels=labels, numbers=found.numbers[chosen])


def within(labels: np.ndarray, classes: Sequence[str], origin: str) -> np.ndarray:
    """The labels as int64. Raises `NoData` where one of them is none of the classes."""
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
        wrong = labels.max() if labels.max() >= len(classes) else labels.min()
        raise NoData(
            f"{origin}: label {wrong} is out of range; there are {len(classes)} classes, 0 to {len(classes) - 1}"
        )
    return labels.astype(np.int64)
