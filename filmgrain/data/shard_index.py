"""The index of a shard as a file: what lies in it is known, and read at random, without reading it through.

JSON lines, so that a sample is found by the offset of its line and an index need not be held in memory: a head, which
says what the shard holds in all, then a `Row` a sample. It lies beside shards that `filmgrain data shard` made, and
otherwise in the cache, by the shard's path, size and times, where it is made anew when one of them changes.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from typing import Any

from . import NoData, tar_index
from .annotations import in_order
from .tar_index import LARGEST, Index, Row

VERSION = 2
SUFFIX = ".index.jsonl"


class Damaged(NoData):
    """An index that is not what was written: one line."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """Of all pictures in a shard, or all clips."""

    count: int = 0
    labels: list[str] = field(default_factory=list)  # names of classes, each once
    unlabelled: int = 0  # those without
    captions: bool = False  # whether one of them has one


@dataclass(frozen=True, kw_only=True)
class Head:
    """Of a shard, all that is told without its rows."""

    version: int = VERSION
    bytes: int  # of the shard
    sha256: str = ""  # of the shard; "" where none has looked
    made_of: str = ""  # hash of what `shard_writer` made the shard of; "" for one of others
    left_out: list[list[str]] = field(default_factory=list)  # files that were to be in it, and why they are not
    pictures: Told
    clips: Told
    refused: list[list[str]] = field(default_factory=list)  # member and reason
    ignored: dict[str, int] = field(default_factory=dict)  # members that are no part of a sample, by suffix


def head_of(found: Index, **of_shard: Any) -> Head:
    return Head(
        pictures=_told([row for row in found.rows if not row.moves]),
        clips=_told([row for row in found.rows if row.moves]),
        refused=[list(refused) for refused in found.refused],
        ignored=dict(found.ignored),
        **of_shard,
    )


def _told(rows: list[Row]) -> Told:
    labels = in_order(row.label for row in rows if row.label is not None)
    unlabelled = sum(row.label is None for row in rows)
    captions = any(row.caption is not None for row in rows)
    return Told(count=len(rows), labels=labels, unlabelled=unlabelled, captions=captions)


def text(head: Head, rows: list[Row]) -> str:
    return "".join(f"{json.dumps(line)}\n" for line in (asdict(head), *map(astuple, rows)))


def head(path: Path) -> Head:
    """Raises `Damaged`, also for an index of another version; OSError where there is none."""
    with path.open("rb") as file:
        try:
            line = json.loads(file.readline())
            read = Head(**line | {kind: Told(**line[kind]) for kind in ("pictures", "clips")})
        except (ValueError, TypeError, KeyError, RecursionError):
            raise Damaged(f"{path} is no index of a shard, or a damaged one") from None
    if read.version != VERSION:
        raise Damaged(f"{path} is an index of version {read.version}, and {VERSION} is known here")
    return read


def rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Every sample, and the offset of its line, in order. Raises `Damaged`, also for other than the head's count."""
    about, count = head(path), 0
    expected = about.pictures.count + about.clips.count
    with path.open("rb") as file:
        offset = len(file.readline())
        for line in file:
            yield offset, _row(line, path, about.bytes)
            offset += len(line)
            count += 1
    if count != expected:
        raise Damaged(f"{path} has {count:,} samples, and {expected:,} by its head")


def row(path: Path, offset: int, size: int) -> Row:
    """The sample whose line begins at an offset; `size` is that of its shard."""
    with path.open("rb") as file:
        file.seek(offset)
        return _row(file.readline(), path, size)


def _row(line: bytes, path: Path, size: int) -> Row:
    try:
        read = Row(*json.loads(line))
        sound = 0 <= read.offset <= read.offset + read.size <= size and 0 <= read.size <= LARGEST and read.frames > 0
        int(read.digest, 16)
    except (ValueError, TypeError, RecursionError):
        sound = False
    if not sound:
        raise Damaged(f"{path} is damaged: {line[:60]!r} is no sample of a shard of {size:,} bytes")
    return read


def kept(shard: Path, root: Path) -> Path:
    """The index of a shard of others, from the cache folder `root` if it is there. Raises OSError if that is full."""
    status = shard.stat()
    made_of = [VERSION, str(shard.resolve()), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    path = root / f"{hashlib.sha256(json.dumps(made_of).encode()).hexdigest()}{SUFFIX}"
    try:
        for _ in rows(path):
            pass
    except (OSError, Damaged):
        found = tar_index.build(shard)
        write(path, text(head_of(found, bytes=status.st_size), found.rows))
    return path


def index(shard: Path, root: Path) -> Index:
    """The same as one object, of which a shard that is cut short is looked at again when it may be whole."""
    path = kept(shard, root)
    about = head(path)
    found = Index([row for _, row in rows(path)], [(name, why) for name, why in about.refused], Counter(about.ignored))
    if any(not name for name, _ in found.refused):
        with suppress(OSError):
            path.unlink()
    return found


def write(path: Path, content: str) -> None:
    """At once, into a cache. Raises OSError with advice."""
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(content, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        advice = f"cannot write the cache {path.parent} ({error.strerror}); give data.cache another disk"
        raise OSError(error.errno, advice) from None
