"""What a decoded file is (`Clip`), what is known of it beforehand (`Info`), and how much it may cost (`Budget`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath

import numpy as np


class Unreadable(Exception):
    """A file that cannot be used. One line: which file, and why."""

    def __init__(self, path: str | PathLike[str], reason: str) -> None:
        super().__init__(fspath(path), reason)  # both are arguments, so that it can be pickled by a worker
        self.path, self.reason = fspath(path), reason

    def __str__(self) -> str:
        name = self.path if self.path.isprintable() else ascii(self.path)
        return f"{name}: {self.reason}"


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames and when each is shown. A still is one frame of duration 0."""

    frames: np.ndarray  # uint8 (f, h, w, 3), RGB
    times: np.ndarray  # float64 (f,), start of each frame in seconds; the first is 0, they rise
    duration: float  # seconds, the end of the last frame

    @property
    def fps(self) -> float:
        """Mean frames a second; 0 for a still."""
        return len(self.frames) / self.duration if self.duration else 0.0


@dataclass(frozen=True)
class Info:
    """What a file says of itself. Containers without a frame count are counted, but never decoded."""

    frames: int
    height: int  # pixels, as shown: rotation and pixel aspect applied
    width: int  # pixels, as shown
    duration: float  # seconds; 0 for a still

    @property
    def fps(self) -> float:
        return self.frames / self.duration if self.duration else 0.0


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much one file may decode to. A file above it is refused before anything is decoded."""

    frame: int = 100_000_000  # pixels of one frame, as stored
    pixels: int = 250_000_000_000  # pixels of all frames, as stored: half an hour of 1920 × 1080 at 60 fps; bounds time
    free: int = 4_000_000_000  # pixels of all frames that a file of any size may have; seconds
    dense: int = 250_000  # pixels beyond these for each byte of the file: twice as many as a black film has
    bytes: int = 2 << 30  # bytes of all frames after scaling; bounds memory

    def check(self, path: str | PathLike[str], info: Info, shape: tuple[int, int], stored: int) -> None:
        """Raises `Unreadable` if a file of `info` is too much: of `stored` bytes, scaled to `shape` (height, width)."""
        size = f"{info.frames} frames of {info.width}×{info.height}"
        if info.height * info.width > self.frame:
            raise Unreadable(path, f"{size} are over the budget of {self.frame:,} pixels a frame")
        if info.frames * info.height * info.width > self.pixels:
            raise Unreadable(path, f"{size} are over the budget of {self.pixels:,} pixels; cut it into shorter files")
        if info.frames * info.height * info.width > (most := self.free + self.dense * stored):
            size += f" in {stored:,} bytes"
            raise Unreadable(path, f"{size} are over the budget of {most:,} pixels for so few; cut it or scale it down")
        if info.frames * shape[0] * shape[1] * 3 > self.bytes:
            size += f" at {shape[1]}×{shape[0]}"
            raise Unreadable(path, f"{size} are over the budget of {self.bytes:,} bytes; scale to a smaller size")


BUDGET = Budget()


@contextmanager
def naming(path: str | PathLike[str], where: str = "") -> Iterator[None]:
    """Turn whatever a decoder raises into `Unreadable`: on hostile bytes their exceptions are of any type."""
    try:
        yield
    except Unreadable:
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unreadable(path, where + " ".join(reason.split())) from error
