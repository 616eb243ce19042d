"""What lies where in a tar shard, found in one pass and kept beside the cache, so that members are read at random.

In the WebDataset layout, the files of one sample are those whose path is the same up to the first dot of their name:
0001.jpg, 0001.txt and 0001.cls. An index goes by the shard's path, size and times, and is made anew when one changes.
"""

import hashlib
import json
import os
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..files.folder import SUFFIXES
from ..files.kinds import HEAD, VIDEOS, kind_of
from ..files.member import Member
from ..files.video import Unreadable, moves
from .annotations import LONGEST, caption_of, one_line, said_in
from .listing import MAYBE_MOVING, VIDEO_SUFFIXES

VERSION = 1
NAME = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)")  # key and extension
TEXTS = ("txt", "json", "cls")
LARGEST_JSON = 1 << 20  # bytes
COMPRESSED = {b"\x1f\x8b": "gunzip", b"BZ": "bunzip2", b"\xfd7": "unxz", b"\x28\xb5": "unzstd"}  # first bytes


@dataclass(frozen=True)
class Row:
    """One sample."""

    name: str  # of its picture or video in the shard
    offset: int  # of its first byte
    size: int  # bytes
    digest: str  # sha256
    moves: bool  # as its header says
    caption: str | None = None
    label: str | None = None  # name of its class


@dataclass
class Index:
    rows: list[Row] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)  # member, "" for the shard itself; and why
    ignored: Counter[str] = field(default_factory=Counter)  # members that are no part of a sample, by suffix


def index(shard: Path, root: Path) -> Index:
    """A shard's index, from the cache folder `root` if it is there. Raises OSError where that cannot be written."""
    status = shard.stat()
    made_of = [VERSION, str(shard.resolve()), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    path = root / f"{hashlib.sha256(json.dumps(made_of).encode()).hexdigest()}.index.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        rows, refused = [Row(**row) for row in kept["rows"]], [(name, reason) for name, reason in kept["refused"]]
        return Index(rows, refused, Counter(kept["ignored"]))
    except (OSError, ValueError, TypeError, KeyError):
        found = build(shard)
    if not any(name == "" for name, _ in found.refused):  # else the shard is looked at again, when it may be whole
        kept = {"rows": [asdict(row) for row in found.rows], "refused": found.refused, "ignored": found.ignored}
        _keep(path, json.dumps(kept))
    return found


def _keep(path: Path, text: str) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        advice = f"cannot write the cache {path.parent} ({error.strerror}); give data.cache another disk"
        raise OSError(error.errno, advice) from None


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


def _members(shard: Path, found: Index) -> Iterator[tuple[str, str, Member]]:
    """Key, extension and place of each file that is a part of a sample."""
    with tarfile.open(shard, "r:") as tar:
        for info in tar:
            name = NAME.fullmatch(info.name)
            if info.isdir():
                continue
            if not info.isreg() or info.issparse() or name is None:
                found.ignored[Path(info.name).suffix.lower() or "without suffix"] += 1
                continue
            yield name[1], name[2].lower(), Member(shard, info.name, info.offset_data, info.size)


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
        moving = kind in VIDEOS or (kind in MAYBE_MOVING and moves(member))
    except Unreadable as error:
        found.refused.append((member.name, error.reason))
        return None
    caption, label = _said(group, found)
    return Row(member.name, member.offset, member.size, _digest(member), moving, caption, label)


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
