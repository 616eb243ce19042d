"""Shards of a URL on this machine's disk while they are read: no more of them than there is room for.

The first reads of a shard take only the bytes they are after, since a look at data spread over all shards (`plan`,
`doctor`, the held-out loss) is no reason to fetch them; a shard that is read on is fetched whole, once for all
processes of the machine. Those that none has read for longest make room for others. A fetched shard is held against
its hash, where that is known, or else its size. One that is not as expected is read in parts as at first, so that what
of it can be used does not depend on who reads it.
"""

import errno
import hashlib
import os
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..files import fsio, remote

PARTS = 8  # reads of a shard by one process before it is fetched whole
POLL = 0.05  # seconds between two looks at whether another process has fetched a shard
GONE = (errno.ENOENT, errno.EACCES, errno.EIO)  # of a shard on a disk that cannot be read

_reads: Counter[str] = Counter()  # by URL
_spoilt: dict[str, "ShardChanged"] = {}  # by URL, what was found when it was fetched


class ShardChanged(OSError):
    """A shard that is gone, or not what its index says: one line with the shard, what was found and was expected."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A tar of samples, and its index."""

    name: str  # shown to the user
    place: str  # path or URL
    bytes: int
    sha256: str = ""  # "" where it is not known
    mark: str = ""  # what its server says that changes with the content
    index: Path = Path()

    @property
    def is_remote(self) -> bool:
        return remote.is_url(self.place)


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """Where fetched shards are."""

    root: Path
    room: int  # bytes at most, beside one that is being fetched

    def read(self, shard: Shard, offset: int, size: int) -> bytes:
        """Some bytes of a shard, all of them. Raises `ShardChanged`, `Unreachable`."""
        try:
            content = self._read(shard, offset, size)
        except remote.Missing as error:
            raise ShardChanged(str(error)) from None
        if len(content) < size:
            raise ShardChanged(f"{shard.place}: is cut short; its index knows of {shard.bytes:,} bytes")
        return content

    def _read(self, shard: Shard, offset: int, size: int) -> bytes:
        if not shard.is_remote:
            try:
                return _part(Path(shard.place), offset, size)
            except OSError as error:
                if error.errno in GONE:
                    raise ShardChanged(
                        f"{shard.place}: {error.strerror}; put it back, or make the shards anew"
                    ) from None
                raise
        path = self.path(shard)
        if shard.place not in _spoilt and (_reads[shard.place] >= PARTS or path.exists()):
            try:
                return self._of_copy(shard, path, offset, size)
            except ShardChanged as error:
                _spoilt[shard.place] = error
        _reads[shard.place] += 1
        try:
            return remote.read_part(shard.place, offset, size)
        except remote.NoParts:
            if shard.place in _spoilt:
                raise _spoilt[shard.place] from None
            _reads[shard.place] = PARTS
            return self._read(shard, offset, size)

    def _of_copy(self, shard: Shard, path: Path, offset: int, size: int) -> bytes:
        while True:
            with suppress(FileNotFoundError):  # another process may need the room
                os.utime(path)
                return _part(path, offset, size)
            self.fetch(shard)

    def path(self, shard: Shard) -> Path:
        made_of = f"{shard.place}\n{shard.bytes}\n{shard.sha256 or shard.mark}"
        return self.root / hashlib.sha256(made_of.encode()).hexdigest() / "shard.tar"

    def fetch(self, shard: Shard) -> Path:
        """The shard as a file here, whole and as expected."""
        path = self.path(shard)
        while not path.exists():
            try:
                with fsio.lock(path.parent):
                    if not path.exists():
                        self._fetch(shard, path)
            except fsio.Locked:
                time.sleep(POLL)
        return path

    def _fetch(self, shard: Shard, path: Path) -> None:
        part = path.with_suffix(".part")  # the lock's holder is the only one that writes it
        try:
            self._make_room(shard.bytes)
            remote.fetch(shard.place, part)
            if (wrong := _wrong(shard, part)) is not None:
                raise ShardChanged(f"{shard.place}: {wrong}; it was changed or cut short since: make its index anew")
            part.replace(path)
        except OSError as error:
            if error.errno is None:
                raise
            advice = f"cannot write the cache {self.root} ({error.strerror}); give data.cache another disk"
            raise OSError(error.errno, advice) from None
        finally:
            part.unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        """Deletes the shards that were not read for longest, until as many bytes as `size` fit."""
        there = []
        for path in self.root.glob("*/shard.tar"):
            with suppress(OSError):  # another process has deleted it
                status = path.stat()
                there.append((status.st_mtime_ns, status.st_size, path))
        used = sum(bytes_ for _, bytes_, _ in there)
        for _, bytes_, path in sorted(there):
            if used + size <= self.room:
                return
            with suppress(OSError):
                path.unlink()
            used -= bytes_


def _part(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def _wrong(shard: Shard, path: Path) -> str | None:
    """What is not as expected of a fetched shard."""
    if (found := path.stat().st_size) != shard.bytes:
        return f"has {found:,} bytes, and {shard.bytes:,} by its index"
    if shard.sha256:
        with path.open("rb") as file:
            if (digest := hashlib.file_digest(file, "sha256").hexdigest()) != shard.sha256:
                return f"has the sha256 {digest[:12]}…, and {shard.sha256[:12]}… by its index"
    return None
