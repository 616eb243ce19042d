"""`read` and `probe`: any video, animation, still or folder of frames as one `Clip`."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count, islice
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from . import folder, pictures
from .clip import BUDGET, Budget, Clip, Info, Unreadable, naming
from .kinds import HEAD, PICTURES, kind_of
from .member import Member
from .stack import Stack

__all__ = ["BUDGET", "Budget", "Clip", "Info", "Unreadable", "moves", "probe", "read"]

Size = Callable[[int, int], tuple[int, int]]  # (height, width) of a file -> (height, width) of its clip
Frames = Iterator[tuple[float, float, Image.Image]]  # start and length in seconds, RGB

ASPECT_TOLERANCE = 0.02  # relative: a stream may change its resolution, but not its shape


def probe(path: str | PathLike[str]) -> Info:
    """What a file or folder says of its frames, size and duration; at most its first frame is decoded."""
    path = _given(path)
    with naming(path), _opened(path) as source:
        return source.info()


def moves(path: str | PathLike[str]) -> bool:
    """Whether a file says that it is a video or an animation. Reads its headers, so it may be damaged all the same."""
    path = _given(path)
    with naming(path), _opened(path) as source:
        return source.kind not in PICTURES or pictures.count(source.file, source.kind) > 1


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
    with ExitStack() as opened:
        with naming(path):
            source = opened.enter_context(_opened(path))
            info, stored = source.info(), source.size()
        if most is not None:
            info = replace(info, frames=min(info.frames, most))
        height, width = size(info.height, info.width) if size else (info.height, info.width)
        budget.check(path, info, (height, width), stored)
        frames, times, end = Stack(info.frames, height, width), [], 0.0
        for start, length, image in _checked(path, info, islice(source.frames(background), most)):
            if image.size != (width, height):
                image = image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3)
            frames.add(image)
            times.append(start)
            end = start + length
            if len(times) > info.frames:  # the header was wrong
                told = Info(len(times), info.height, info.width, end)
                budget.check(path, told, (height, width), stored)
    return Clip(frames.array(), np.array(times), end if len(times) > 1 else 0.0)


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


def _given(path: str | PathLike[str]) -> Path | Member:
    return path if isinstance(path, Member) else Path(path)


@dataclass(frozen=True)
class _Source:
    """An opened file, or a folder of frames, and the module that decodes it."""

    decoder: ModuleType
    file: Any  # a path of a folder; of a picture or animation all of its bytes, of a video the open file
    kind: str

    def info(self) -> Info:
        return self.decoder.info(self.file, self.kind)

    def size(self) -> int:
        """Bytes; of a folder of frames, of them all."""
        if isinstance(self.file, Path):
            return sum(path.stat().st_size for path in folder.pictures_in(self.file))
        return self.file.seek(0, os.SEEK_END)

    def frames(self, background: pictures.RGB) -> Frames:
        return self.decoder.frames(self.file, self.kind, background)


@contextmanager
def _opened(path: Path | Member) -> Iterator[_Source]:
    """The decoder of a kind is chosen by the first bytes. That of videos is imported with the first: it is slow."""
    if isinstance(path, Path) and not stat.S_ISREG(path.stat().st_mode):
        if not path.is_dir():
            raise ValueError("is not a regular file")
        yield _Source(folder, path, "")
        return
    with path.open() if isinstance(path, Member) else path.open("rb") as file:
        head = file.read(HEAD)
        if not head:
            raise ValueError("is empty")
        kind = kind_of(head)
        if kind is None:
            raise ValueError("is not a known kind of picture or video")
        if kind in PICTURES:
            yield _Source(pictures, pictures.whole(file), kind)
            return
        from . import containers

        yield _Source(containers, file, kind)
