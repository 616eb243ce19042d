"""`read` and `probe`: any video, animation, still or folder of frames as one `Clip`."""

import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count, islice
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import numpy as np
from PIL import Image

from . import folder, pictures
from .clip import BUDGET, Budget, Clip, Info, Unreadable, naming
from .kinds import HEAD, PICTURES, kind_of
from .member import Member

__all__ = ["BUDGET", "Budget", "Clip", "Info", "Unreadable", "moves", "probe", "read"]

Size = Callable[[int, int], tuple[int, int]]  # (height, width) of a file -> (height, width) of its clip
Frames = Iterator[tuple[float, float, Image.Image]]  # start and length in seconds, RGB

ASPECT_TOLERANCE = 0.02  # relative: a stream may change its resolution, but not its shape


def probe(path: str | PathLike[str]) -> Info:
    """What a file or folder says of its frames, size and duration; at most its first frame is decoded."""
    path = _given(path)
    with naming(path):
        if isinstance(path, Path) and path.is_dir():
            return folder.info(path)
        with _opened(path) as (file, kind):
            return _decoder(kind).info(file, kind)


def moves(path: str | PathLike[str]) -> bool:
    """Whether a file says that it is a video or an animation. Reads its headers, so it may be damaged all the same."""
    path = _given(path)
    with naming(path), _opened(path) as (file, kind):
        return kind not in PICTURES or pictures.count(file, kind) > 1


def read(
    path: str | PathLike[str],
    *,
    background: pictures.RGB = (255, 255, 255),
    size: Size | None = None,
    budget: Budget = BUDGET,
    most: int | None = None,
) -> Clip:
    """Decode a file, or a folder of pictures at 10 frames a second: all of it, or its first `most` frames.

    What is transparent shows `background`. `size` scales each frame while decoding, which saves memory.
    Raises `Unreadable` for whatever is wrong with the file, a single damaged frame included.
    """
    path = _given(path)
    info = probe(path)
    if most is not None:
        info = replace(info, frames=min(info.frames, most))
    height, width = size(info.height, info.width) if size else (info.height, info.width)
    budget.check(path, info, (height, width))
    frames: list[np.ndarray] = []
    times: list[float] = []
    end = 0.0
    for start, length, image in _checked(path, info, islice(_frames(path, background), most)):
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3)
        frames.append(np.asarray(image))
        times.append(start)
        end = start + length
        if len(frames) > info.frames:  # the header was wrong
            budget.check(path, Info(len(frames), info.height, info.width, end), (height, width))
    return Clip(np.stack(frames), np.array(times), end if len(frames) > 1 else 0.0)


def _checked(path: Path | Member, info: Info, frames: Frames) -> Frames:
    """`frames`, at least one and all of one shape; an error says at which frame."""
    for index in count():
        with naming(path, f"frame {index}: "):
            frame = next(frames, None)
            if frame is None and index == 0:
                raise ValueError("there is none")
        if frame is None:
            return
        width, height = frame[2].size
        if abs(width * info.height / (height * info.width) - 1) > ASPECT_TOLERANCE:
            reason = f"frame {index} is {width}×{height}, the first {info.width}×{info.height}; a clip has one shape"
            raise Unreadable(path, reason)
        yield frame


def _frames(path: Path | Member, background: pictures.RGB) -> Frames:
    if isinstance(path, Path) and path.is_dir():
        yield from folder.frames(path, background)
        return
    with _opened(path) as (file, kind):
        yield from _decoder(kind).frames(file, kind, background)


def _decoder(kind: str) -> ModuleType:
    """The module that reads a kind. That of videos is imported with the first of them: it is slow to start."""
    if kind in PICTURES:
        return pictures
    from . import containers

    return containers


def _given(path: str | PathLike[str]) -> Path | Member:
    return path if isinstance(path, Member) else Path(path)


@contextmanager
def _opened(path: Path | Member) -> Iterator[tuple[BinaryIO, str]]:
    """The file and its kind."""
    if isinstance(path, Path) and not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("is not a regular file")
    with path.open() if isinstance(path, Member) else path.open("rb") as file:
        head = file.read(HEAD)
        if not head:
            raise ValueError("is empty")
        kind = kind_of(head)
        if kind is None:
            raise ValueError("is not a known kind of picture or video")
        file.seek(0)
        yield file, kind
