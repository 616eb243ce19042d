"""Decoded clips on disk, so that a file is decoded once and never again.

An entry is uint8 frames (3, f, h, w) in a memory-mapped .npy, as training takes them, with their times in a .json
beside it. Its name is the sha256 of what it was made from: the file's content, the size it was scaled to cover, the
background shown through it, and the version of this format. A renamed file keeps its entry, a changed one does not find
the old.
"""

import hashlib
import json
import mmap
import os
import zlib
from dataclasses import dataclass
from functools import cache, lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..files.folder import pictures_in
from ..files.member import Member
from ..files.video import Clip, read
from .transforms import cover

VERSION = 2
OPEN = 128  # entries that stay mapped, each with a file open, of which many systems allow 256 or 1024
Source = Path | Member  # of an entry: a file, a folder of frames, or a file inside of a tar


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """What entries are made with, beside the file itself."""

    root: Path  # folder of the entries
    height: int  # pixels that every frame covers
    width: int  # pixels that every frame covers
    background: tuple[int, int, int]  # RGB behind what is transparent

    def key(self, digest: str) -> str:
        made_with = [VERSION, digest, self.height, self.width, self.background]
        return hashlib.sha256(json.dumps(made_with).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One clip in the cache."""

    digest: str  # sha256 of the source's content
    times: list[float]  # seconds, start of each frame
    duration: float  # seconds, end of the last frame
    height: int  # pixels of the source
    width: int  # pixels of the source
    shape: tuple[int, ...]  # of the frames, (c, f, h, w)
    checksum: int  # crc32 of the frames
    path: str  # of the frames

    def frames(self) -> np.ndarray:
        status = os.stat(self.path)
        return _mapped(self.path, self.shape, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(OPEN)
def _mapped(path: str, shape: tuple[int, ...], *_status: int) -> np.ndarray:
    """The frames of a sound entry; np.load takes three times as long."""
    with open(path, "rb") as file:
        pixels = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(pixels, np.uint8, offset=len(pixels) - prod(shape)).reshape(shape)


def folder(given: str = "") -> Path:
    """Where entries are kept: as given, or in the user's cache folder."""
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "filmgrain" / "clips"


def digest_of(path: Source) -> str:
    """sha256 of a file's content; of a folder of frames, of the digests of its pictures in order."""
    if isinstance(path, Member):
        return path.digest
    if path.is_dir():
        return hashlib.sha256("".join(map(digest_of, pictures_in(path))).encode()).hexdigest()
    status = path.stat()
    return _digest(path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@cache  # a run makes several datasets of one folder, which may hold terabytes
def _digest(path: Path, *_status: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find(digest: str, scaled: Scaled) -> Entry | None:
    """The entry of a content, if it is there and undamaged."""
    frames, about = _paths(digest, scaled)
    try:
        entry = entry_of(json.loads(about.read_bytes()), scaled)
        pixels = np.load(frames, mmap_mode="r")
        sound = pixels.shape == entry.shape and pixels.dtype == np.uint8
        return entry if sound and zlib.crc32(pixels.data) == entry.checksum else None
    except (OSError, ValueError, TypeError, LookupError, OverflowError):
        return None


def make(source: Source, digest: str, scaled: Scaled) -> Entry:
    """Decode a file into the cache. Raises `Unreadable` for the file, OSError for the cache's own disk."""
    sizes = []

    def size(height: int, width: int) -> tuple[int, int]:
        sizes.append((height, width))
        return cover(height, width, (scaled.height, scaled.width))

    clip: Clip = read(source, background=scaled.background, size=size)
    frames, about = _paths(digest, scaled)
    pixels = np.ascontiguousarray(clip.frames.transpose(3, 0, 1, 2))
    said = {
        "digest": digest,
        "times": clip.times.tolist(),
        "duration": clip.duration,
        "height": sizes[0][0],
        "width": sizes[0][1],
        "shape": pixels.shape,
        "checksum": zlib.crc32(pixels.data),
    }
    frames.parent.mkdir(parents=True, exist_ok=True)
    part = frames.with_suffix(f".{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            np.save(file, pixels)
        part.replace(frames)
        part.write_text(json.dumps(said))
        part.replace(about)  # last: an entry without it does not exist
    finally:
        part.unlink(missing_ok=True)
    return entry_of(said, scaled)


def entry_of(said: dict[str, Any], scaled: Scaled) -> Entry:
    """An entry of what the .json beside it says."""
    frames, _ = _paths(said["digest"], scaled)
    return Entry(**said | {"shape": tuple(said["shape"])}, path=str(frames))


def _paths(digest: str, scaled: Scaled) -> tuple[Path, Path]:
    stem = scaled.root / scaled.key(digest)
    return stem.with_suffix(".npy"), stem.with_suffix(".json")
