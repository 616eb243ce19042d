"""Decoded clips on disk, so that a file is decoded once and never again.

An entry is a file: uint8 frames (3, f, h, w), as training takes them, memory-mapped; what there is to say of them, in
JSON; the length of the JSON in 8 bytes, and the crc32 of all this in 4. Its name is the sha256 of what it was made of:
the file's content, the size it was scaled to cover, the background shown through it, and the version of this format. A
renamed file keeps its entry, a changed one does not find the old.
"""

import hashlib
import json
import mmap
import os
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..files.folder import pictures_in
from ..files.member import Member
from ..files.video import Clip, read
from .transforms import cover

VERSION = 3
OPEN = 128  # entries that stay mapped, each with a file open, of which many systems allow 256 or 1024
MAPPED = 1 << 18  # bytes from which to map a file takes less than to read it
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
    path: str  # in the cache

    def frames(self) -> np.ndarray:
        """uint8 of its shape. Small ones are read anew: memory that is used again at once is faster than other."""
        count = prod(self.shape)
        if count < MAPPED:
            content = _content(self.path)
        else:
            status = os.stat(self.path)
            content = _kept(self.path, status.st_ino, status.st_size, status.st_mtime_ns)
        return np.frombuffer(content, np.uint8, count=count).reshape(self.shape)


@lru_cache(OPEN)
def _kept(path: str, *_status: int) -> bytes | mmap.mmap:
    return _content(path)


def _content(path: str) -> bytes | mmap.mmap:
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))  # `open` takes longer
    try:
        size = os.fstat(file).st_size
        return os.read(file, size) if size < MAPPED else mmap.mmap(file, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(file)


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
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find(digest: str, scaled: Scaled) -> Entry | None:
    """The entry of a content, if it is there and undamaged."""
    try:
        content = _content(_path(digest, scaled))
        if zlib.crc32(memoryview(content)[:-4]) != int.from_bytes(content[-4:], "little"):
            return None
        length = int.from_bytes(content[-12:-4], "little")
        return entry_of(json.loads(content[-12 - length : -12]), scaled)
    except (OSError, ValueError):
        return None


def make(source: Source, digest: str, scaled: Scaled) -> Entry:
    """Decode a file into the cache. Raises `Unreadable` for the file, OSError for the cache's own disk."""
    sizes = []

    def size(height: int, width: int) -> tuple[int, int]:
        sizes.append((height, width))
        return cover(height, width, (scaled.height, scaled.width))

    clip: Clip = read(source, background=scaled.background, size=size)
    pixels = np.ascontiguousarray(clip.frames.transpose(3, 0, 1, 2))
    said = {
        "digest": digest,
        "times": clip.times.tolist(),
        "duration": clip.duration,
        "height": sizes[0][0],
        "width": sizes[0][1],
        "shape": pixels.shape,
    }
    _write(_path(digest, scaled), pixels, json.dumps(said).encode())
    return entry_of(said, scaled)


def _write(path: str, pixels: np.ndarray, said: bytes) -> None:
    tail = said + len(said).to_bytes(8, "little")
    tail += zlib.crc32(tail, zlib.crc32(pixels.data)).to_bytes(4, "little")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = f"{path}.{os.getpid()}.part"
    try:
        with open(part, "wb") as file:
            file.write(pixels.data)
            file.write(tail)
        os.replace(part, path)
    except OSError:
        with suppress(OSError):
            os.unlink(part)
        raise


def entry_of(said: dict[str, Any], scaled: Scaled) -> Entry:
    """An entry of what its JSON says."""
    return Entry(**said | {"shape": tuple(said["shape"])}, path=_path(said["digest"], scaled))


def _path(digest: str, scaled: Scaled) -> str:
    return os.path.join(scaled.root, f"{scaled.key(digest)}.clip")
