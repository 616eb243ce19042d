"""What is wrong with data as a model sees them: pictures, clips, captions, classes."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np

from ..data import Dataset
from ..data.plan import Fate, plan
from .finding import Finding, note, problem, some

LOOKED_AT = 1_024  # items, evenly spread over an epoch
RANGE = 64  # of 256 levels, that data should span
FLAT = 4.0  # standard deviation, in levels, below which a picture shows next to nothing
STILL = 16  # levels by which some pixel of a clip changes, at least, where something moves
MANY = 0.1  # part of the items from which on a note becomes a problem
UNEVEN = 10  # times as many of the largest class as of the smallest
SURE = 10  # items a class, in an even sample, from which on counts are told of


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One item."""

    source: str
    low: int  # least level of all its pixels
    high: int  # largest
    spread: float  # standard deviation of its levels
    change: int | None = None  # largest change of a pixel over the clip; None for a picture
    label: int | None = None
    caption: str | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
    """Data, looked at."""

    where: str  # the folder, or the name of the format
    config: Any  # that of the format
    seen: list[Seen]  # items of training, evenly spread
    train: int  # items an epoch
    held_out: int
    fates: list[Fate] = field(default_factory=list)  # of every file; none for data that are one archive
    contents: list[set[tuple[str, str]]] = field(default_factory=list)  # the split and name of all copies of each
    classes: list[str] | None = None


def look(datasets: Mapping[str, Dataset], where: str) -> Look:
    """The data of both splits, as `runs.datasets` gives them."""
    train = datasets["train"]
    count = min(LOOKED_AT, len(train))
    items = (train.item(i * len(train) // count, random.Random(i)) for i in range(count))
    seen, contents = [], dict[str, set[tuple[str, str]]]()
    for item in items:
        seen.append(_seen(item))
        if not hasattr(train, "shares"):
            contents.setdefault(_digest(item["x"]), set()).add(("train", item["source"]))
    for split, data in datasets.items():
        for name, entry, _ in data.shares() if hasattr(data, "shares") else ():
            contents.setdefault(entry.digest, set()).add((split, name))
    return Look(
        where=where,
        config=train.config,  # type: ignore[attr-defined]  # which every format has
        seen=seen,
        train=len(train),
        held_out=len(datasets["held_out"]),
        fates=plan(datasets).fates,
        contents=list(contents.values()),
        classes=getattr(train, "classes", None),
    )


def _seen(item: dict[str, Any]) -> Seen:
    x = item["x"]
    return Seen(
        source=item["source"],
        low=int(x.min()),
        high=int(x.max()),
        spread=float(x.std()),
        change=int(np.ptp(x, axis=1).max()) if x.ndim == 4 else None,
        label=item.get("label"),
        caption=item.get("caption"),
    )


def _digest(x: np.ndarray) -> str:
    """The same of a picture and of its mirror image, since which of them is drawn is chance."""
    return min(sha256(view.tobytes()).hexdigest() for view in (x, x[..., ::-1]))


def narrow_range(data: Look) -> Iterator[Finding]:
    low, high = min(item.low for item in data.seen), max(item.high for item in data.seen)
    if high - low < RANGE:
        yield problem(
            data.where,
            f"all {len(data.seen):,} items looked at lie between {low} and {high} of 0 to 255",
            "scale what is 0 to 1, or 16 bits deep, to bytes before it is saved",
        )


def nearly_constant(data: Look) -> Iterator[Finding]:
    names = [item.source for item in data.seen if item.spread < FLAT]
    if names:
        say = problem if len(names) > MANY * len(data.seen) else note
        what = f"{len(names):,} of {len(data.seen):,} items are nearly one colour: {some(names)}"
        yield say(data.where, what, "remove them, unless they are meant")


def static_clips(data: Look) -> Iterator[Finding]:
    clips = {item.source for item in data.seen if item.change is not None}
    moving = {item.source for item in data.seen if item.change is not None and item.change >= STILL}
    if (names := sorted(clips - moving)) and data.config.frames > 1:
        say = problem if len(names) > MANY * len(clips) else note
        what = f"nothing moves in {len(names):,} of {len(clips):,} clips: {some(names)}"
        yield say(data.where, what, "remove them, or the model learns to make stills")


def duplicates(data: Look) -> Iterator[Finding]:
    files = [sorted({name for _, name in copies}) for copies in data.contents]  # the ends of a long clip are one file
    copied = [names for names in files if len(names) > 1]
    if copied:
        extra, total = sum(len(names) - 1 for names in copied), sum(map(len, files))
        say = problem if extra > MANY * total else note
        what = f"{extra:,} of {total:,} are copies of others, such as {some(copied[0], 2)}"
        yield say(data.where, what, "remove them: what comes twice is learnt by heart sooner")


def leaked(data: Look) -> Iterator[Finding]:
    both = [
        [name for _, name in sorted(copies)]
        for copies in data.contents
        if len({split for split, _ in copies}) > 1 and len({name for _, name in copies}) > 1
    ]
    if both:
        what = f"{len(both):,} files are both in training and held out, such as {some(both[0], 2)}"
        yield problem(data.where, what, "remove one of each, or the held-out loss praises what was learnt by heart")


def captions_missing(data: Look) -> Iterator[Finding]:
    captions = [item for item in data.seen if item.caption is not None]
    names = [item.source for item in captions if not item.caption]
    if 0 < len(names) < len(captions):
        what = f"{len(names):,} of {len(captions):,} items have an empty caption: {some(names)}"
        yield note(data.where, what, "write them")


def classes_unbalanced(data: Look) -> Iterator[Finding]:
    labels = [item.label for item in data.seen if item.label is not None]
    if not data.classes or not labels or (len(data.seen) < data.train and len(labels) < SURE * len(data.classes)):
        return
    counts = Counter(labels)
    by_size = sorted(range(len(data.classes)), key=lambda label: counts[label])
    least, most = by_size[0], by_size[-1]
    if counts[most] >= UNEVEN * max(1, counts[least]):
        what = (
            f'of {len(labels):,} items looked at, {counts[most]:,} are "{data.classes[most]}" and {counts[least]:,} '
            f'are "{data.classes[least]}"'
        )
        yield note(data.where, what, "add to the small classes, or expect their samples to be poor")


def held_out_empty(data: Look) -> Iterator[Finding]:
    if not data.held_out:
        what = "nothing is held out of training, so there is no held-out loss"
        yield note(data.where, what, "set data.held_out=0.05, which takes ten files or more")


CHECKS = (
    narrow_range,
    nearly_constant,
    static_clips,
    duplicates,
    leaked,
    captions_missing,
    classes_unbalanced,
    held_out_empty,
)
