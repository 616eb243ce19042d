"""Decoded files, what is said of each, and which of them are of a split: what formats of files have in common."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from . import split as splits
from .annotations import Annotations
from .cache import Entry, Scaled, Source
from .listing import Listing
from .prepare import Progress, prepare

LISTED = 20  # classes that a summary names


@dataclass(frozen=True)
class Sample:
    """A file that is used."""

    name: str  # relative to the folder
    entry: Entry = field(repr=False)
    notes: dict[str, Any]  # what its items have beside x: "label" and "caption", if its neighbours have them too
    split: str = ""  # that the folder or the archive it lies in is named after; "" for none
    further: tuple[str, ...] = ()  # captions, if it has several

    def said(self, rng: random.Random) -> dict[str, Any]:
        """Its notes as an item has them: of several captions one, drawn."""
        if not self.further:
            return self.notes
        return self.notes | {"caption": rng.choice((self.notes["caption"], *self.further))}

    @property
    def captions(self) -> list[str]:
        return [caption for caption in (self.notes.get("caption", ""), *self.further) if caption]


def collect(
    listing: Listing,
    files: Sequence[Source],
    said: Annotations,
    scaled: Scaled,
    processes: int,
    progress: Progress | None,
) -> list[Sample]:
    """The files that can be decoded, and have a label if any has; the others are added to the listing's refused."""
    classes = {name: label for label, name in enumerate(said.classes or ())}
    used = [file for file in files if not classes or file in said.labels]
    for file in files:
        if classes and file not in said.labels:
            listing.refuse(file, 'has no label, as others have; with data.labels="none" it is used')
    samples = []
    for file, result in zip(used, prepare(used, scaled, processes=processes, progress=progress), strict=True):
        if isinstance(result, str):
            listing.refuse(file, result)
            continue
        notes: dict[str, Any] = {"label": classes[said.labels[file]]} if classes else {}
        if said.captions:
            notes["caption"] = said.captions.get(file, "")
        further = tuple(said.further.get(file, ()))
        samples.append(Sample(listing.name(file), result, notes, said.splits.get(file, ""), further))
    listing.refused.sort(key=lambda refused: refused.path)
    return samples


def of_split(samples: Sequence[Sample], fraction: float, split: str) -> list[Sample]:
    """The samples of one split: as their folders are named, or else by content."""
    if any(sample.split for sample in samples):
        return [sample for sample in samples if sample.split == split]
    held_out = splits.by_content([sample.entry.digest for sample in samples], fraction)
    return [sample for sample in samples if (sample.entry.digest in held_out) == (split == "held_out")]


def captioned(split: str, samples: Sequence[Sample], what: str) -> list[str]:
    """A line on how many have a caption, where any has."""
    counts = [len(sample.captions) for sample in samples]
    if not any(counts):
        return []
    several = f", {sum(counts):,} in all, of which one is drawn" if max(counts) > 1 else ""
    return [f"{split}: captions of {sum(map(bool, counts)):,} of {len(counts):,} {what}{several}"]


def counted(split: str, classes: Sequence[str], labels: Sequence[int], what: str = "pictures") -> str:
    """A line on how many there are of each class; of those held out, in all."""
    found = Counter(labels)
    counts = [found[label] for label in range(len(classes))]
    if len(set(counts)) == 1:
        line, names = f"{split}: {len(classes)} classes of {counts[0]:,} {what} each", list(classes)
    else:
        line = f"{split}: {len(classes)} classes of {min(counts):,} to {max(counts):,} {what}"
        names = [f"{name} {count:,}" for name, count in zip(classes, counts, strict=True)]
    return f"{line}: {_listed(names)}" if split == "train" else line


def _listed(names: list[str]) -> str:
    shown = ", ".join(" ".join(name.split()) for name in names[:LISTED])
    return shown + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
