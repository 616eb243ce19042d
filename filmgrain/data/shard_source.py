"""Which shards there are behind a folder or a URL, each with its index on this machine.

`filmgrain data shard` writes `shards.json`, the catalogue: the name, size and hash of each shard, and the hash of its
index. Shards of others have none: they are found in their folder, or given as NAME-{000..127}.tar, and each is read
through once.
"""

import hashlib
import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..files import remote
from . import NoData, shard_index, shards, tar_index
from .shard_cache import Shard, ShardChanged, Shelf

CATALOGUE = "shards.json"
VERSION = 1
NAME = re.compile(r"[\w-][\w.-]*\.tar", re.ASCII)  # in a catalogue: no path that leads elsewhere
MOST = 100_000  # shards of one pattern

Progress = Callable[[int, int], None]  # shards looked at, shards in all


@dataclass(frozen=True)
class Found:
    """All that is known before a sample is read."""

    shards: list[Shard]
    refused: list[list[str]]  # by the catalogue: files that are in no shard, and why


def find(folder: str, shelf: Shelf, root: Path, progress: Progress | None = None) -> Found:
    """The shards of a folder or URL; indices that do not lie beside them are kept in the cache folder `root`.

    Raises `NoData`, `Unreachable`, `ShardChanged`, and OSError where the cache cannot be written.
    """
    catalogue = _catalogue(folder)
    there = _listed(folder, catalogue) if catalogue else [(shard, "") for shard in _unlisted(folder)]
    if not there:
        raise NoData(f"{folder} holds no shards; give a folder of NAME.tar, or NAME-{{000..127}}.tar")
    indexed = []
    for done, (shard, digest) in enumerate(there, 1):
        indexed.append(_beside_it(shard, digest, root) if digest else _made(shard, shelf, root))
        if progress:
            progress(done, len(there))
    refused = catalogue.get("refused", []) if catalogue else []
    return Found(indexed, [[str(word) for word in entry] for entry in refused])


def expanded(pattern: str) -> list[str]:
    """NAME-{000..127}.tar, written out; any other text is itself."""
    found = re.search(r"\{(\d+)\.\.(\d+)\}", pattern)
    if found is None:
        return [pattern]
    first, last = int(found[1]), int(found[2])
    if not 0 <= last - first < MOST:
        raise NoData(f"{pattern} stands for {last - first + 1:,} shards; expected 1 to {MOST:,}, as in {{000..127}}")
    before, after = pattern[: found.start()], pattern[found.end() :]
    return [f"{before}{number:0{len(found[1])}}{after}" for number in range(first, last + 1)]


def _catalogue(folder: str) -> dict[str, Any] | None:
    if folder.endswith(".tar"):
        return None
    try:
        content = _beside(folder, CATALOGUE)
    except (remote.Missing, FileNotFoundError, NotADirectoryError):
        return None
    with suppress(ValueError, RecursionError):
        value = json.loads(content)
        if isinstance(value, dict) and value.get("version") == VERSION:
            return value
    raise NoData(f"{folder}/{CATALOGUE} is damaged or of another version than {VERSION}; make the shards anew")


def _listed(folder: str, catalogue: dict[str, Any]) -> list[tuple[Shard, str]]:
    """The shards of a catalogue, and the sha256 of the index of each."""
    found = []
    try:
        for entry in catalogue["shards"]:
            if not NAME.fullmatch(entry["name"]):
                raise ValueError(f"{entry['name']!a} is no shard's name")
            size, digest = int(entry["bytes"]), str(entry["sha256"])
            shard = Shard(name=entry["name"], place=_join(folder, entry["name"]), bytes=size, sha256=digest)
            found.append((shard, f"{int(entry['index'], 16):064x}"))
        return found
    except (ValueError, TypeError, KeyError) as error:
        raise NoData(f"{folder}/{CATALOGUE} is damaged ({error}); make the shards anew") from None


def _unlisted(folder: str) -> list[Shard]:
    if not remote.is_url(folder):
        paths = [path for name in expanded(folder) for path in shards.find(Path(name))]
        parent = paths[0].parent if folder.endswith(".tar") else Path(folder)
        return [Shard(name=path.relative_to(parent).as_posix(), place=str(path), bytes=0) for path in paths]
    places = expanded(folder) if folder.endswith(".tar") else remote.listed(folder)
    found = []
    for place in places:
        if place.endswith(".tar"):
            size, mark = remote.state(place)
            found.append(Shard(name=place.rpartition("/")[2], place=place, bytes=size, mark=mark))
    return found


def _made(shard: Shard, shelf: Shelf, root: Path) -> Shard:
    """With the index in the cache, for which the shard is read through once."""
    if not shard.is_remote:
        path = shard_index.kept(Path(shard.place), root)
        return replace(shard, bytes=shard_index.head(path).bytes, index=path)
    made_of = json.dumps([shard_index.VERSION, shard.place, shard.bytes, shard.mark])
    path = root / f"{hashlib.sha256(made_of.encode()).hexdigest()}{shard_index.SUFFIX}"
    if not path.exists():
        found = tar_index.build(shelf.fetch(shard))
        shard_index.write(path, shard_index.text(shard_index.head_of(found, bytes=shard.bytes), found.rows))
    return replace(shard, index=path)


def _beside_it(shard: Shard, digest: str, root: Path) -> Shard:
    """With the index that lies beside it; that of a URL is kept in the cache by its hash."""
    name = shard.place.removesuffix(".tar") + shard_index.SUFFIX
    path = root / f"{digest}{shard_index.SUFFIX}" if shard.is_remote else Path(name)
    with suppress(OSError):
        if hashlib.sha256(path.read_bytes()).hexdigest() == digest:
            return replace(shard, index=path)
    content = remote.read(name) if shard.is_remote else b""
    if hashlib.sha256(content).hexdigest() != digest:
        raise ShardChanged(f"{name} is missing or not what {CATALOGUE} says; make the shards anew")
    shard_index.write(path, content.decode())
    return replace(shard, index=path)


def _join(folder: str, name: str) -> str:
    return remote.joined(folder, name) if remote.is_url(folder) else str(Path(folder) / name)


def _beside(folder: str, name: str) -> bytes:
    place = _join(folder, name)
    return remote.read(place) if remote.is_url(folder) else Path(place).read_bytes()
