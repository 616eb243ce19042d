"""What lies where in a tar shard, found in one pass, so that its members are read at random; nothing is unpacked.

In the WebDataset layout, the files of one sample are those whose path is the same up to the first dot of their name:
0001.jpg, 0001.txt and 0001.cls. A shard may come from anyone: links, devices, sparse files, paths that lead out of it
and headers or members of any size are refused by name.
"""

import hashlib
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from ..files.folder import SUFFIXES
from ..files.kinds import HEAD, VIDEOS, kind_of
from ..files.member import Member
from ..files.video import Unreadable, probe
from .annotations import LONGEST, caption_of, one_line, said_in
from .listing import MAYBE_MOVING, VIDEO_SUFFIXES

NAME = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)")  # key and extension
TEXTS = ("txt", "json", "cls")
LARGEST_JSON = 1 << 20  # bytes
LARGEST = 1 << 30  # bytes of a picture or video; it is decoded from memory
LARGEST_HEADER = 1 << 20  # bytes that tarfile may read at once, such as a name of pax, which is as long as it says
COMPRESSED = {b"\x1f\x8b": "gunzip", b"BZ": "bunzip2", b"\xfd7": "unxz", b"\x28\xb5": "unzstd"}  # first bytes


@dataclass(frozen=True)
class Row:
    """One sample."""

    name: str  # of its picture or video in the shard
    offset: int  # of its first byte
    size: int  # bytes
    digest: str  # sha256
    moves: bool  # as its header says, and so are these:
    frames: int
    duration: float  # seconds; 0 for a still
    height: int  # pixels
    width: int  # pixels
    caption: str | None = None
    label: str | None = None  # name of its class


@dataclass
class Index:
    rows: list[Row] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)  # member, "" for the shard itself; and why
    ignored: Counter[str] = field(default_factory=Counter)  # members that are no part of a sample, by suffix


def build(shard: Path) -> Index:
    """The index of a shard, read from its first byte to its last. What cannot be used is refused by name."""
    found = Index()
    groups: dict[str, dict[str, Member]] = {}
    try:
        with shard.open("rb") as file:
            tool = COMPRESSED.get(file.read(2))
        if tool:
            raise ValueError(f"is compressed, so that nothing in it can be reached directly; unpack it with {tool}")
        for key, extension, member in _members(shard, found):
            if member.name in (other.name for other in groups.get(key, {}).values()):
                found.refused.append((member.name, "is there twice"))
            else:
                groups.setdefault(key, {}).setdefault(extension, member)
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        found.refused.append(("", f"{reason}; what comes before is used" if groups else reason))
    for group in groups.values():
        row = _row(group, found)
        if row is not None:
            found.rows.append(row)
    return found


class Guarded:
    """A file from which nothing is read into memory that is longer than a header may be."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.seek, self.tell = file, file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > LARGEST_HEADER:
            raise ValueError(f"has a header of {size:,} bytes, and {LARGEST_HEADER:,} are the most")
        return self.file.read(size)


def _members(shard: Path, found: Index) -> Iterator[tuple[str, str, Member]]:
    """Key, extension and place of each file that is a part of a sample."""
    with shard.open("rb") as file, tarfile.open(fileobj=Guarded(file), mode="r:") as tar:  # type: ignore[call-overload]
        for info in tar:
            tar.members.clear()  # which tarfile would keep, one for each file
            name = NAME.fullmatch(info.name)
            if info.isdir():
                continue
            if (reason := _refusal(info)) is not None:
                found.refused.append((info.name, reason))
            elif name is None:
                found.ignored[Path(info.name).suffix.lower() or "without suffix"] += 1
            else:
                yield name[1], name[2].lower(), Member(shard, info.name, info.offset_data, info.size)


def _refusal(info: tarfile.TarInfo) -> str | None:
    """Why a member is not looked at, whatever it is called."""
    path = PurePosixPath(info.name)
    if path.is_absolute() or ".." in path.parts:
        return "has a path that leads out of the shard"
    if info.issparse() or not info.isreg():
        kind = "a sparse file" if info.issparse() else "a link" if info.issym() or info.islnk() else "a special file"
        return f"is {kind}, and no file with bytes of its own"
    if info.size > LARGEST:
        return f"has {info.size:,} bytes, and {LARGEST:,} are the most"
    return None


def _row(group: dict[str, Member], found: Index) -> Row | None:
    """The sample of a key; None, and a word on why, if it has nothing to show."""
    shown: list[tuple[int, int, str, Member]] = []
    for extension, member in group.items():
        if extension.rpartition(".")[2] in TEXTS:
            continue
        kind = kind_of(_content(member, HEAD))
        suffix = f".{extension.rpartition('.')[2]}"
        if kind is not None:
            shown.append((extension.count("."), len(shown), kind, member))
        elif suffix in SUFFIXES | VIDEO_SUFFIXES:
            found.refused.append((member.name, "is no picture or video, whatever its name says"))
        else:
            found.ignored[suffix] += 1
    if not shown:
        return None
    (_, _, kind, member), *others = sorted(shown, key=lambda one: one[:2])  # 1.jpg before 1.mask.png
    found.ignored += Counter(Path(other.name).suffix.lower() for *_, other in others)
    try:
        info = probe(member)
    except Unreadable as error:
        found.refused.append((member.name, error.reason))
        return None
    moving = kind in VIDEOS or (kind in MAYBE_MOVING and info.frames > 1)
    about = info.frames, info.duration, info.height, info.width
    return Row(member.name, member.offset, member.size, _digest(member), moving, *about, *_said(group, found))


def _said(group: dict[str, Member], found: Index) -> tuple[str | None, str | None]:
    """Caption and class of a key: of its .txt and .cls, or else of its .json."""
    said: dict[str, str | None] = {}
    for extension in ("json", "cls", "txt"):
        member = group.get(extension)
        if member is None:
            continue
        try:
            if extension == "json":
                said["txt"], said["cls"] = said_in(_object(_content(member, LARGEST_JSON)))
            else:
                said[extension] = caption_of(_content(member, LONGEST + 1))
        except ValueError as error:
            found.refused.append((member.name, one_line(str(error))))
    return said.get("txt"), said.get("cls")


def _object(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError("is no JSON object")
    return value


def _content(member: Member, most: int) -> bytes:
    with member.archive.open("rb") as file:
        file.seek(member.offset)
        return file.read(min(most, member.size))


def _digest(member: Member) -> str:
    digest, left = hashlib.sha256(), member.size
    with member.archive.open("rb") as file:
        file.seek(member.offset)
        while left and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()
