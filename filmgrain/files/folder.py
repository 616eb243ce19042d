"""A folder of numbered pictures, read as one clip."""

import re
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from . import pictures
from .clip import Info, naming
from .kinds import PICTURES, kind

FPS = 10  # frames a second: a folder does not say when its frames are shown
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".avif"})


def natural(path: Path) -> list[tuple[int, str]]:
    """Sort key by which frame2 comes before frame10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def pictures_of(folder: Path) -> list[Path]:
    """The frames in order: what is a picture or is called one, hidden files aside."""
    files = [p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")]
    return sorted((p for p in files if p.suffix.lower() in SUFFIXES or kind(p) in PICTURES), key=natural)


def info(folder: Path) -> Info:
    paths = pictures_of(folder)
    if not paths:
        raise ValueError("holds no pictures")
    name = kind(paths[0])
    with naming(paths[0]), paths[0].open("rb") as file:
        if name not in PICTURES:
            raise ValueError("is not a picture")
        first = pictures.info(file, name)
    return Info(len(paths), first.height, first.width, len(paths) / FPS if len(paths) > 1 else 0.0)


def frames(folder: Path, background: pictures.RGB) -> Iterator[tuple[float, float, Image.Image]]:
    for index, path in enumerate(pictures_of(folder)):
        with naming(path), path.open("rb") as file:
            name = kind(path)
            if name not in PICTURES:
                raise ValueError("is not a picture")
            _, _, image = next(pictures.frames(file, name, background))
        yield index / FPS, 1 / FPS, image
