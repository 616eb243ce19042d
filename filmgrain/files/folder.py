"""A folder of numbered pictures, read as one clip."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image

from . import pictures
from .clip import Info, naming
from .kinds import PICTURES, kind

FPS = 10  # frames a second: a folder does not say when its frames are shown
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".gif"})


def natural(path: Path) -> list[tuple[int, str]]:
    """Sort key by which frame2 comes before frame10."""
    return natural_text(path.name)


def natural_text(text: str) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]+)", text)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def pictures_in(folder: Path) -> list[Path]:
    """The frames in order: each file that is a picture or is called one; hidden files aside."""
    files = [path for path in folder.iterdir() if not path.name.startswith(".") and os.path.isfile(path)]
    return sorted((p for p in files if p.suffix.lower() in SUFFIXES or kind(p) in PICTURES), key=natural)


def info(folder: Path, kind: str = "") -> Info:
    """The size is that of the first picture."""
    paths = pictures_in(folder)
    if not paths:
        raise ValueError("holds no pictures")
    with _opened(paths[0]) as (file, name):
        first = pictures.info(file, name)
    return Info(len(paths), first.height, first.width, len(paths) / FPS if len(paths) > 1 else 0.0)


def frames(folder: Path, kind: str, background: pictures.RGB) -> Iterator[tuple[float, float, Image.Image]]:
    """Each frame's start and length in seconds, and its RGB image."""
    for index, path in enumerate(pictures_in(folder)):
        with _opened(path) as (file, name):
            _, _, image = next(pictures.frames(file, name, background))
        yield index / FPS, 1 / FPS, image


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BytesIO, str]]:
    with naming(path), path.open("rb") as file:
        name = kind(path)
        if name not in PICTURES:
            raise ValueError("is not a picture")
        yield pictures.whole(file), name
