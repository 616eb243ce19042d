"""MNIST and its family (Fashion-MNIST, KMNIST, EMNIST): the idx files of images and labels, plain or as .gz.

A file is 0 0 8 d, the type of bytes in d dimensions, then d sizes as 32-bit numbers, the highest byte first, then the
bytes. Pictures are kept in memory: 47 MB for the 60,000 of MNIST.
"""

import gzip
import os
import random
import re
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from . import NoData, arrays
from .arrays import Pictures

EXPECTED = "train-images-idx3-ubyte and train-labels-idx1-ubyte, plain or as .gz, and the same of t10k"
NAME = re.compile(r"(.*?)[-_.]?(train|t10k|test)[-_.](images|labels)[-_.]idx[13][-_.]ubyte(?:\.gz)?", re.IGNORECASE)
SPLITS = {"train": "train", "t10k": "held_out", "test": "held_out"}
LARGEST = 1 << 30  # bytes of one file, unpacked
KNOWN = {
    "digits": tuple("0123456789"),
    "fashion": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
}  # fmt: skip

Files = dict[tuple[str, str], Path]  # by split and "images" or "labels"


@dataclass(frozen=True, kw_only=True)
class Config:
    """How the pictures of idx files are taken."""

    folder: str  # of the files
    height: int = 32  # pixels; networks halve 32 more often than the 28 that these pictures have
    width: int = 32  # pixels
    channels: int = 1  # 1: grey; 3: the same three times, as red, green and blue
    fit: str = "pad"  # of another size: "pad", in the middle of a black one, or "scale"
    flip: bool = False  # left and right exchanged in half of the items
    names: str | tuple[str, ...] = (
        "auto"  # of the classes: a list, "digits", "fashion"; "auto": as the files are called
    )
    prefix: str = ""  # of the files' names, where a folder holds several sets, such as "emnist-letters"
    held_out: float = 0.0  # fraction of the training files kept for validation; 0: the t10k files are

    def __post_init__(self) -> None:
        arrays.check(self)
        if self.channels not in (1, 3):
            raise ValueError(f"channels={self.channels}: use 1 for grey, or 3")
        if isinstance(self.names, str) and self.names not in ("auto", *KNOWN):
            raise ValueError(f'names="{self.names}" is unknown; use auto, {", ".join(KNOWN)}, or a list of names')

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width


class Dataset:
    """The pictures of one split. Raises `NoData` for files that are missing, damaged or do not belong together."""

    def __init__(self, config: Config, split: str = "train") -> None:
        self.config, self.split = config, split
        self.files = chosen(sets(Path(config.folder)), config)
        self.classes = self._classes()
        self.pictures = arrays.of_split(config, split, self._read)

    def __len__(self) -> int:
        return len(self.pictures)

    def item(self, index: int, rng: random.Random) -> dict[str, Any]:
        item = self.pictures.item(index, self.config, rng)
        return item if self.config.channels == 1 else item | {"x": np.repeat(item["x"], 3, axis=0)}

    def summary(self) -> list[str]:
        return self.pictures.summary(self.split, self.classes)

    def _classes(self) -> list[str] | None:
        """Of the names that are set or known; else the numbers up to the largest label of the training files."""
        if ("train", "labels") not in self.files:
            return None
        names = self.config.names
        if names == "auto" and "fashion" in str(self.files["train", "images"].absolute()).lower():
            names = "fashion"
        if names == "auto":
            return [str(number) for number in range(1 + int(read(self.files["train", "labels"], 1).max(initial=0)))]
        return list(KNOWN[names] if isinstance(names, str) else names)

    def _read(self, split: str) -> Pictures:
        path = self.files.get((split, "images"))
        if path is None:
            return arrays.pictures("t10k-images-idx3-ubyte", np.zeros((0, 1, 1, 1), np.uint8), None)
        pixels = read(path, 3)[..., None]
        if not pixels.size:
            raise NoData(f"{path}: holds no pictures; get the file again")
        if self.classes is None:
            return arrays.pictures(path.name, pixels, None)
        beside = self.files.get((split, "labels"))
        if beside is None:
            raise NoData(f"{path}: its labels are not there, and those of the other files are; put them beside it")
        labels = read(beside, 1)
        if len(labels) != len(pixels):
            raise NoData(f"{beside}: has {len(labels):,} labels for {len(pixels):,} pictures of {path.name}")
        return arrays.pictures(path.name, pixels, arrays.within(labels, self.classes, str(beside)))


def sets(folder: Path) -> dict[str, Files]:
    """The sets of idx files in a folder, or in raw/ or NAME/raw/ below it, by the start of their names."""
    found: dict[str, Files] = {}
    for place in (folder, folder / "raw", *sorted(folder.glob("*/raw"))):
        names = sorted(os.listdir(place)) if os.path.isdir(place) and os.access(place, os.R_OK) else []
        for name in names:
            parts = NAME.fullmatch(name)
            if parts and os.path.isfile(place / name):
                files = found.setdefault(parts[1], {})
                files.setdefault((SPLITS[parts[2].lower()], parts[3].lower()), place / name)  # plain before .gz
    return found


def chosen(found: dict[str, Files], config: Config) -> Files:
    """The one set, or the one that is asked for."""
    if config.prefix and config.prefix in found:
        found = {config.prefix: found[config.prefix]}
    if config.prefix not in ("", *found) or len(found) > 1:
        raise NoData(f"{config.folder} holds the sets {', '.join(found)}; set data.prefix to one of them")
    files = next(iter(found.values()), {})
    if ("train", "images") not in files:
        raise NoData(f"{config.folder} holds no idx files to train on; expected {EXPECTED}")
    return files


def read(path: Path, dimensions: int) -> np.ndarray:
    """The bytes of an idx file in their shape. Raises `NoData`, one line."""
    try:
        with path.open("rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            head = file.read(4 + 4 * dimensions)
            if head[:4] != bytes([0, 0, 8, dimensions]):
                wanted = bytes([0, 0, 8, dimensions]).hex(" ")
                raise ValueError(f"begins with {head[:4].hex(' ') or 'nothing'}; an idx file of these has {wanted}")
            if len(head) < 4 + 4 * dimensions:
                raise ValueError("ends inside its header")
            shape = np.frombuffer(head[4:], ">u4").tolist()
            if prod(shape) > LARGEST:
                raise ValueError(f"its header claims {' x '.join(map(str, shape))} bytes, over {LARGEST:,}")
            content = file.read(prod(shape) + 1)
        if len(content) != prod(shape):
            more = "more than " if len(content) > prod(shape) else f"{len(content):,} of "
            raise ValueError(f"has {more}the {prod(shape):,} bytes that its header says")
    except (OSError, EOFError, zlib.error, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise NoData(f"{path}: {reason}; get the file again") from None
    return np.frombuffer(content, np.uint8).reshape(shape)
