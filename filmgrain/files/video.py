"""`read` and `probe`: any video, animation, still or folder of frames as one `Clip`."""

import stat
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import Image

from . import containers, folder, pictures
from .clip import BUDGET, Budget, Clip, Info, Unreadable, naming
from .kinds import HEAD, PICTURES, VIDEOS, kind_of

__all__ = ["BUDGET", "Budget", "Clip", "Info", "Unreadable", "probe", "read"]

Size = Callable[[int, int], tuple[int, int]]  # (height, width) of a file -> (height, width) of its clip
Frames = Iterator[tuple[float, float, Image.Image]]  # start and length in seconds, RGB


def probe(path: str | PathLike[str]) -> Info:
    """Frames, size and duration of a file or folder, without decoding its frames."""
    path = Path(path)
    with naming(path):
        return _info(path)


def read(
    path: str | PathLike[str],
    *,
    background: pictures.RGB = (255, 255, 255),
    size: Size | None = None,
    budget: Budget = BUDGET,
) -> Clip:
    """Decode a whole file.

    What is transparent shows `background`. `size` scales each frame while decoding, which saves memory.
    Raises `Unreadable` for whatever is wrong with the file, a single damaged frame included.
    """
    path = Path(path)
    info = probe(path)
    height, width = size(info.height, info.width) if size else (info.height, info.width)
    refusal = budget.refusal(info, (height, width))
    if refusal:
        raise Unreadable(path, refusal)
    frames, times, end = [], [], 0.0
    for start, length, image in _one_by_one(path, _frames(path, background)):
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3)
        frames.append(np.asarray(image))
        times.append(start)
        end = start + length
    if not frames:
        raise Unreadable(path, "has no frames")
    return Clip(np.stack(frames), np.array(times), end if len(frames) > 1 else 0.0)


def _one_by_one(path: Path, frames: Frames) -> Frames:
    """`frames`, saying at which one it broke."""
    for index in range(1 << 62):
        with naming(path, f"frame {index}: "):
            frame = next(frames, None)
        if frame is None:
            return
        yield frame


def _info(path: Path) -> Info:
    if path.is_dir():
        return folder.info(path)
    kind = _kind(path)
    with path.open("rb") as file:
        return pictures.info(file, kind) if kind in PICTURES else containers.info(file, kind)


def _frames(path: Path, background: pictures.RGB) -> Frames:
    if path.is_dir():
        yield from folder.frames(path, background)
        return
    kind = _kind(path)
    with path.open("rb") as file:
        yield from (pictures if kind in PICTURES else containers).frames(file, kind, background)


def _kind(path: Path) -> str:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("is not a regular file")
    if not status.st_size:
        raise ValueError("is empty")
    with path.open("rb") as file:
        kind = kind_of(file.read(HEAD))
    if kind is None:
        raise ValueError("is not a known kind of picture or video")
    assert kind in PICTURES | VIDEOS
    return kind
