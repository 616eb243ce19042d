"""A2: whatever a power loss leaves of a run can be read, and holds each checkpoint that was said to be saved.

Of a run that is traced moment by moment, the states are made that its disk may legally have afterwards:

    data      of a file are those of its last sync; later ones may be there, or not, or half of them, or as zeros
    names     in a folder are those of its last sync; of the changes since, any subset may be there
    renames   happen whole or not at all

Real file systems keep more order than this.
"""

import hashlib
import json
import random
import re
import shutil
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from target import VOLATILE, difference, emptied, finished, left, trained
from trial import Trial, first, unless

from filmgrain.files import fsio
from filmgrain.training import checkpoint

ALL_SUBSETS = 6  # changes of names of which every subset is tried; of more, each beginning, each alone and all but each
ENDS = 40  # states, evenly over the run, from which it is resumed to its end
NOTHING = "nothing"  # the hash of what was never synced
Entries = dict[int, dict[str, int]]  # of each folder's inode: names and their inodes
Op = tuple[int, tuple[str, ...], dict[str, int]]  # of a folder: names that go, and names that come, at once


class Moment(NamedTuple):
    """A run's disk right before an effect."""

    name: str
    root: int
    entries: Entries
    data: dict[int, str]  # of each file's inode: the hash of its content


class Disk(NamedTuple):
    """What is on the disk for certain, and what has been asked of it since."""

    entries: Entries
    data: dict[int, str]
    pending: list[Op]
    done: int  # the newest checkpoint that was said to be saved; -1 before the first


def trials(root: Path, quick: bool) -> Iterator[Trial]:
    store = root / "store"
    moments, whole = traced(root, store), left(root / "whole")
    rows = [row for row in fsio.read_jsonl(root / "whole" / "metrics.jsonl") if "event" not in row]
    seen: set[str] = set()
    made: list[tuple[dict[str, str], int, str]] = []
    for moment, disk in zip(moments, disks(moments), strict=True):
        for tree in states(moment, disk):
            key = json.dumps([tree, disk.done], sort_keys=True)
            if key not in seen:
                seen.add(key)
                made.append((tree, disk.done, moment.name))
    for tree, done, name in random.Random(0).sample(made, 300) if quick else made:
        folder = put(root / "trial", tree, store)
        yield Trial("crash states read", name, unread(folder, done, rows))
    count = 4 if quick else ENDS
    for tree, done, name in made[:: max(1, len(made) // count)][:count]:
        folder = put(root / "trial", tree, store)
        ended = finished(folder)
        fault = first(
            unless(not ended.code, f"not resumed: {ended}"), "" if ended.code else difference_of(folder, whole)
        )
        yield Trial("resumed to the end", f"{name}, {done} done", fault)


def difference_of(folder: Path, whole: Any) -> str:
    """But for previews of before the loss, which nobody waited for to be on the disk."""
    kept = {name: data for name, data in whole.files.items() if not name.startswith("previews/")}
    shutil.rmtree(folder / "previews", ignore_errors=True)
    return difference(folder, whole._replace(files=kept))


def unread(folder: Path, done: int, rows: list[dict[str, Any]]) -> str:
    """Why what a power loss has left cannot be gone on with; empty where it can."""
    newest = fsio.newest(folder / "checkpoints").folder
    if newest is None:
        return unless(done < 0, f"step {done} was saved, and nothing is readable")
    step = checkpoint.read_state(newest).step
    told = [row["step"] for row in rows if row["step"] <= step]
    found = [row for row in fsio.read_jsonl(folder / "metrics.jsonl") if "event" not in row]
    kept = [row["step"] for row in found if row["step"] <= step and row.keys() - VOLATILE]
    return first(
        unless(step >= done, f"step {done} was saved, and {newest.name} is the newest readable one"),
        unless(kept == told, f"{newest.name} is ahead of its rows: {kept} of {told}"),
    )


def traced(root: Path, store: Path) -> list[Moment]:
    """A run's moments; the contents of all files that there ever were are kept in `store` by their hash."""
    folder, log = root / "whole", root / "trace.jsonl"
    store.mkdir()
    (store / NOTHING).touch()

    def note(name: str) -> None:
        entries: Entries = {}
        data: dict[int, str] = {}
        for path in [folder, *folder.rglob("*")]:
            inode = path.stat().st_ino
            if path != folder:
                entries[path.parent.stat().st_ino][path.name] = inode
            if path.is_dir():
                entries[inode] = {}
            else:
                content = path.read_bytes()
                data[inode] = hashlib.sha256(content).hexdigest()
                (store / data[inode]).write_bytes(content)
        with log.open("a") as file:
            file.write(json.dumps([name, folder.stat().st_ino, entries, data]) + "\n")

    folder.mkdir()
    ended = trained(folder, at=note)
    assert ended.code == 0, ended
    rows = map(json.loads, log.read_text().splitlines())
    return [
        Moment(name, inode, {int(k): v for k, v in entries.items()}, {int(k): v for k, v in data.items()})
        for name, inode, entries, data in rows
    ]


def disks(moments: list[Moment]) -> Iterator[Disk]:
    """At each moment, what is certain and what is pending: a sync makes the one of the other."""
    entries: Entries = {moments[0].root: {}}
    data: dict[int, str] = {}
    pending: list[Op] = []
    done, before = -1, moments[0]
    for moment in moments:
        data = {inode: digest for inode, digest in data.items() if inode in moment.data}
        pending += changes(before.entries, moment.entries)
        if before.name.startswith("sync "):
            inode = inode_of(before, before.name.removeprefix("sync "))
            if inode in before.data:
                data[inode] = before.data[inode]
            else:
                entries[inode] = dict(before.entries[inode])
                pending = [op for op in pending if op[0] != inode]
        if before.name == "point save.done":
            done = max(int(name[5:]) for name in names_in(before, "checkpoints") if name.startswith("step-"))
        yield Disk({inode: dict(names) for inode, names in entries.items()}, dict(data), list(pending), done)
        before = moment


def changes(before: Entries, after: Entries) -> list[Op]:
    """What happened to names between two moments: a rename, or else each for itself."""
    ops: list[Op] = []
    for folder in before.keys() | after.keys():
        old, new = before.get(folder, {}), after.get(folder, {})
        if folder not in after:
            continue
        come = {name: inode for name, inode in new.items() if old.get(name) != inode}
        go = [name for name, inode in old.items() if new.get(name) != inode]
        moved = {name: inode for name, inode in come.items() if inode in old.values()}
        if moved:
            ops.append((folder, tuple(go), moved))
        else:
            ops += [(folder, (name,), {}) for name in go if name not in come]
        ops += [(folder, (), {name: inode}) for name, inode in come.items() if name not in moved]
    return ops


def inode_of(moment: Moment, path: str) -> int:
    inode = moment.root
    for part in Path(path).parts:
        names = moment.entries[inode]
        inode = next(names[name] for name in names if re.sub(r"-\d+$", "-PID", name) == part)
    return inode


def names_in(moment: Moment, path: str) -> dict[str, int]:
    return moment.entries[inode_of(moment, path)]


def states(moment: Moment, disk: Disk) -> Iterator[dict[str, str]]:
    """The trees that may be found: {path: hash of content}, or of what is not synced, its kind and both hashes."""
    loose = [inode for inode, digest in moment.data.items() if disk.data.get(inode) != digest]
    for kept in subsets(disk.pending):
        entries = {inode: dict(names) for inode, names in disk.entries.items()}
        for folder, go, come in kept:
            names = entries.setdefault(folder, {})
            for name in go:
                names.pop(name, None)
            names.update(come)
        for kind in KINDS:
            content = dict(moment.data)
            for inode in loose:
                content[inode] = f"{kind} {disk.data.get(inode, NOTHING)} {moment.data[inode]}"
            yield dict(walk(moment.root, "", entries, moment, content))
            if not loose:
                break


def subsets(ops: list[Op]) -> Iterator[list[Op]]:
    if len(ops) <= ALL_SUBSETS:
        for count in range(len(ops) + 1):
            yield from map(list, combinations(ops, count))
        return
    yield from (ops[:count] for count in range(len(ops) + 1))
    yield from ([op] for op in ops)
    yield from (ops[:i] + ops[i + 1 :] for i in range(len(ops)))


def walk(
    folder: int, path: str, entries: Entries, moment: Moment, content: dict[int, str]
) -> Iterator[tuple[str, str]]:
    for name, inode in sorted(entries.get(folder, {}).items()):
        if inode in content:
            yield f"{path}{name}", content[inode]
        elif inode in moment.entries:
            yield f"{path}{name}/", ""
            yield from walk(inode, f"{path}{name}/", entries, moment, content)


def put(folder: Path, tree: dict[str, str], store: Path) -> Path:
    """A tree on the disk."""
    emptied(folder).mkdir()
    for name, said in tree.items():
        if name.endswith("/"):
            (folder / name).mkdir()
            continue
        *loose, digest = said.split()
        content = (store / digest).read_bytes()
        (folder / name).write_bytes(KINDS[loose[0]]((store / loose[1]).read_bytes(), content) if loose else content)
    return folder


def appended(old: bytes, new: bytes) -> tuple[bytes, bytes]:
    """What of a file is there for certain, and what may not be: what has been added to it, or all."""
    return (old, new[len(old) :]) if new.startswith(old) else (b"", new)


def half(old: bytes, new: bytes) -> bytes:
    certain, rest = appended(old, new)
    return certain + rest[: len(rest) // 2]


def zeros(old: bytes, new: bytes) -> bytes:
    certain, rest = appended(old, new)
    return certain + bytes(len(rest))


# What may be found of a file that was not synced, by what was synced before and what was asked to be there.
KINDS = {"new": lambda old, new: new, "half": half, "zeros": zeros, "old": lambda old, new: old}
