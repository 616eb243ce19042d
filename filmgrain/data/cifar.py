"""CIFAR-10 and CIFAR-100: the python or the binary version, from the .tar.gz as it comes or from its unpacked folder.

The python version is of pickles, which are read by an interpreter that can run nothing (`unpickle`). Pictures are kept
in memory: 154 MB for the 50,000 of training.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import NoData, arrays, unpickle
from .arrays import Pictures
from .cifar_files import EDITIONS, Edition, Place, contents, find

PIXELS = 3 * 32 * 32  # bytes of a picture: all of red, then green, then blue, row by row
LABELS = ("fine", "coarse")


@dataclass(frozen=True, kw_only=True)
class Config:
    """How the pictures of an archive are taken."""

    folder: str  # of the archive or its files; or the archive itself
    height: int = 32  # pixels
    width: int = 32  # pixels
    labels: str = "fine"  # of CIFAR-100: "fine", 100 classes, or "coarse", 20
    fit: str = "pad"  # to another size: "pad", in the middle of a black one, or "scale"
    flip: bool = False  # left and right exchanged in half of the items, as in Ho et al. (2020)
    held_out: float = 0.0  # fraction of the training pictures kept for validation; 0: the 10,000 for tests are

    def __post_init__(self) -> None:
        arrays.check(self)
        if self.labels not in LABELS:
            raise ValueError(f'labels="{self.labels}" is unknown; use one of {", ".join(LABELS)}')

    @property
    def shape(self) -> tuple[int, int, int]:
        return 3, self.height, self.width


class Dataset:
    """The pictures of one split. Raises `NoData` for an archive that is missing or damaged."""

    def __init__(self, config: Config, split: str = "train") -> None:
        self.config, self.split = config, split
        place = find(Path(config.folder))
        edition = EDITIONS[place.edition]
        self.classes = classes(place, edition, config.labels)
        self.pictures = arrays.of_split(config, split, partial(self._read, place, edition))

    def __len__(self) -> int:
        return len(self.pictures)

    def item(self, index: int, rng: random.Random) -> dict[str, Any]:
        return self.pictures.item(index, self.config, rng)

    def summary(self) -> list[str]:
        return self.pictures.summary(self.split, self.classes)

    def _read(self, place: Place, edition: Edition, split: str) -> Pictures:
        names = edition.train if split == "train" else edition.test
        parse = binary if edition.label_bytes else python
        parts = []
        for name, content in contents(place, names).items():
            try:
                pixels, labels = parse(content, edition, self.config.labels)
            except (unpickle.Refused, ValueError) as error:
                raise NoData(f"{place.path}: {name} {error}; get the archive again") from None
            parts.append((pixels, arrays.within(labels, self.classes, f"{place.path}: {name}")))
        planes = np.concatenate([pixels for pixels, _ in parts]).reshape(-1, 3, 32, 32)
        pixels = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
        return arrays.pictures(f"{place.edition}/{split}", pixels, np.concatenate([labels for _, labels in parts]))


def python(content: bytes, edition: Edition, which: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, 3072) and labels (n) of a pickle. Raises ValueError."""
    batch = _dictionary(content)
    array, labels = batch.get("data"), batch.get(edition.key.format(which, "labels"))
    pixels = array.values if isinstance(array, unpickle.Array) else None
    if pixels is None or pixels.ndim != 2 or pixels.shape[1] != PIXELS or not len(pixels):
        raise ValueError(f"holds no pictures of {PIXELS:,} bytes each")
    if not isinstance(labels, list) or len(labels) != len(pixels) or not all(type(n) is int for n in labels):
        raise ValueError("does not hold a label for each picture")
    return pixels, np.array([min(max(n, -1), 1000) for n in labels])  # any number of Python's, as one of NumPy's


def binary(content: bytes, edition: Edition, which: str) -> tuple[np.ndarray, np.ndarray]:
    """The same of records: the label, or the coarse and the fine one, and the pixels."""
    record = edition.label_bytes + PIXELS
    if not content or len(content) % record:
        raise ValueError(f"is cut short: its {len(content):,} bytes are no multiple of {record:,}")
    rows = np.frombuffer(content, np.uint8).reshape(-1, record)
    return rows[:, edition.label_bytes :], rows[:, 0 if which == "coarse" else edition.label_bytes - 1]


def classes(place: Place, edition: Edition, which: str) -> list[str]:
    """The names of the classes, in the order of their labels."""
    file = edition.names.format(which)
    (content,) = contents(place, [file]).values()
    try:
        if edition.label_bytes:
            names: Sequence[Any] = content.decode("ascii").split()
        else:
            names = _dictionary(content).get(edition.key.format(which, "label_names")) or ()
    except ValueError as error:  # unpickle.Refused and UnicodeDecodeError are such
        raise NoData(f"{place.path}: {file} {error}; get the archive again") from None
    if not names or not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise NoData(f"{place.path}: {file} holds no names of classes; get the archive again")
    return names


def _dictionary(content: bytes) -> dict[Any, Any]:
    """A pickle's dictionary; keys that were bytes in Python 3 are text as in Python 2."""
    value = unpickle.loads(content)
    if not isinstance(value, dict):
        raise ValueError("holds no dictionary")
    return {key.decode("latin-1") if isinstance(key, bytes) else key: inner for key, inner in value.items()}
