"""A4: a damaged checkpoint is noticed: an older one is used, or the resumption refused; never a silent new start."""

import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from target import changed, difference, emptied, finished, left, trained
from trial import Trial, first, unless

from filmgrain.files import fsio

COUNT = 200
RESUMED = 20  # of these, runs that are trained to their end; of the others the resumption is only begun
PAGE = 4096  # bytes
RECIPE = changed(keep=2)  # checkpoints of steps 5 and 7


def flip(path: Path, draw: random.Random) -> str:
    data = bytearray(path.read_bytes())
    position = draw.randrange(len(data))
    data[position] ^= 1 << draw.randrange(8)
    path.write_bytes(data)
    return f"bit of byte {position} of {path.name}"


def truncate(path: Path, draw: random.Random) -> str:
    size = draw.randrange(path.stat().st_size)
    path.write_bytes(path.read_bytes()[:size])
    return f"{path.name} cut to {size} bytes"


def zero_page(path: Path, draw: random.Random) -> str:
    data = bytearray(path.read_bytes())
    start = draw.randrange(0, len(data), PAGE)
    if not any(data[start : start + PAGE]):  # zeros are as they were
        return flip(path, draw)
    data[start : start + PAGE] = bytes(len(data[start : start + PAGE]))
    path.write_bytes(data)
    return f"page at {start} of {path.name} zeroed"


def lose(path: Path, draw: random.Random) -> str:
    path.unlink()
    return f"{path.name} lost"


def grow(path: Path, draw: random.Random) -> str:
    path.write_bytes(path.read_bytes() + draw.randbytes(draw.randrange(1, 9)))
    return f"{path.name} has grown"


def rename(path: Path, draw: random.Random) -> str:
    path.rename(path.with_name(f"old-{path.name}"))
    return f"{path.name} renamed"


def swap(path: Path, draw: random.Random) -> str:
    """With another file of the folder."""
    other = draw.choice(sorted(set(path.parent.iterdir()) - {path}))
    mine, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(mine)
    return f"{path.name} and {other.name} swapped"


def older(path: Path, draw: random.Random) -> str:
    """The file of another checkpoint of the same run, of the same size."""
    before = path.parent.with_name("step-00000005") / path.name
    if before.read_bytes() == path.read_bytes():
        return flip(path, draw)
    shutil.copy(before, path)
    return f"{path.name} of step 5"


def foreign(path: Path, draw: random.Random) -> str:
    """A file that was not saved there, and would be read: parts of a sharded run go before the whole."""
    shutil.copy(path, path.with_name("shard-00001-model-00001-of-00001.safetensors"))
    return f"a copy of {path.name} as a shard"


def edited(path: Path, draw: random.Random) -> str:
    """The manifest, changed so that it is still a manifest."""
    manifest = path.with_name(fsio.MANIFEST)
    table = json.loads(manifest.read_text())
    name = draw.choice(sorted(table))
    change = draw.choice(["hash", "size", "without", "more"])
    if change == "hash":
        table[name]["sha256"] = table[name]["sha256"][::-1]
    elif change == "size":
        table[name]["size"] += draw.choice([-1, 1])
    elif change == "without":
        del table[name]
    else:
        table["more.json"] = table[name]
    manifest.write_text(fsio._canonical(table))
    return f"manifest edited: {change} {name}"


KINDS: dict[str, Callable[[Path, random.Random], str]] = {
    "bit flipped": flip,
    "truncated": truncate,
    "page zeroed": zero_page,
    "file missing": lose,
    "file grown": grow,
    "file renamed": rename,
    "files swapped": swap,
    "file of another step": older,
    "foreign file": foreign,
    "manifest edited": edited,
}


def trials(root: Path, quick: bool) -> Iterator[Trial]:
    whole = root / "whole"
    assert trained(whole, recipe=RECIPE).code == 0
    expected = left(whole)
    count = 30 if quick else COUNT
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        draw, folder = random.Random(number), root / "trial"
        shutil.copytree(whole, emptied(folder))
        newest = folder / "checkpoints" / "step-00000007"
        what = KINDS[kind](draw.choice(sorted(newest.iterdir())), draw)
        found = fsio.newest(folder / "checkpoints")
        noticed = unless(found.folder == newest.with_name("step-00000005"), f"was not noticed: {found}")
        to_the_end = number % (count // (3 if quick else RESUMED)) == 0
        yield Trial(kind, what, noticed or (resumed(folder, expected) if to_the_end else refused(folder)))


def resumed(folder: Path, whole: object) -> str:
    """From the older checkpoint, to the same end; the damaged one is set aside and named."""
    ended = finished(folder, RECIPE)
    aside = list((folder / "checkpoints").glob("damaged-step-00000007-*"))
    named = unless(len(aside) == 1 and "set aside and not used" in ended.said, f"not told: {ended}")
    for path in aside:
        shutil.rmtree(path)
    return first(unless(ended.code == 0, f"could not be resumed: {ended}"), named, difference(folder, whole))


def refused(folder: Path) -> str:
    """Where there is no older one: exit code 3, one line that says what was found, and nothing written over."""
    shutil.rmtree(folder / "checkpoints" / "step-00000005")
    before = {path: path.read_bytes() for path in (folder / "checkpoints").rglob("*") if path.is_file()}
    ended = trained(folder, resume=True, recipe=RECIPE)
    after = {path: path.read_bytes() for path in (folder / "checkpoints").rglob("*") if path.is_file()}
    line = re.search(r"^filmgrain: .* has no usable checkpoint: .*step-00000007.*$", ended.said, re.MULTILINE)
    anew = trained(folder, recipe=RECIPE)  # as somebody would who forgot --resume
    return first(
        unless(ended.code == 3 and line, f"resumed or unclear: {ended}"),
        unless(before == after, "something was changed"),
        unless(anew.code == 3, f"started anew over it: {anew}"),
    )
