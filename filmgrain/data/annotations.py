"""What is said of pictures by the files beside them: captions and labels.

    NAME.txt           the caption of NAME.png, .jpg ...
    metadata.jsonl     a JSON object a line: "file_name", relative to its own folder; "text" or "caption"; "label"
    a sub-folder       the label of all that lies in it

The last two are the layout of Hugging Face's `imagefolder`, folders train/ and test/ above them included. What cannot
be read is refused by name, and the picture is used without it.
"""

import codecs
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..files.folder import natural_text
from . import split as splits
from .cache import Source
from .listing import Listing

METADATA = "metadata.jsonl"
CAPTION_KEYS = ("text", "caption")
LONGEST = 65_536  # bytes of a caption or a line of metadata
LABELS = ("auto", "folders", "metadata", "none")


@dataclass
class Annotations:
    """By file; what nothing is said of is left out."""

    captions: dict[Source, str] = field(default_factory=dict)
    labels: dict[Source, str] = field(default_factory=dict)  # names of classes
    splits: dict[Source, str] = field(default_factory=dict)  # of all, or none

    @property
    def classes(self) -> list[str] | None:
        """Of the labels; a label's number is its index here. None without labels."""
        return in_order(self.labels.values()) or None


def in_order(names: Iterable[str]) -> list[str]:
    """Every name once, 2 before 10."""
    return sorted(sorted(set(names)), key=natural_text)


def annotations(listing: Listing, labels: str) -> Annotations:
    """What is said of a listing's stills. labels: where classes come from, one of LABELS.

    The files that say it no longer count as ignored.
    """
    found = Annotations(splits=splits.by_name({path: folder_of(listing, path) for path in listing.stills}))
    _read_texts(listing, found)
    _read_metadata(listing, found)
    if labels == "none":
        found.labels = {}
    elif labels == "folders" or (labels == "auto" and not found.labels):
        folders = {path: folder_of(listing, path, 1 if found.splits else 0) for path in listing.stills}
        certain = all(folders.values()) and len(set(folders.values())) > 1
        found.labels = {path: name for path, name in folders.items() if name and (certain or labels == "folders")}
    return found


def folder_of(listing: Listing, path: Path, depth: int = 0) -> str:
    """The folder below the listing's root, or at a greater depth, that a file lies in; "" for none."""
    parts = listing.name(path).split("/")
    return parts[depth] if len(parts) > depth + 1 else ""


def caption_of(content: bytes) -> str:
    """A caption on one line, from UTF-8, or UTF-16 with its mark. Raises ValueError for anything else."""
    if len(content) > LONGEST:
        raise ValueError(f"is longer than a caption may be, {LONGEST:,} bytes")
    try:
        utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return one_line(content.decode("utf-16" if utf16 else "utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError("is text neither in UTF-8 nor in UTF-16; save it as UTF-8") from None


def said_in(row: dict[str, Any]) -> tuple[str | None, str | None]:
    """The caption and the class's name in an object of JSON. Raises ValueError for what is neither."""
    caption = next((row[key] for key in CAPTION_KEYS if row.get(key) is not None), None)
    label = row.get("label")
    if not isinstance(caption, (str, type(None))):
        raise ValueError(f"its caption is no text but {type(caption).__name__}")
    if not isinstance(label, (str, int, type(None))):
        raise ValueError(f"its label is neither text nor a whole number but {type(label).__name__}")
    return (None if caption is None else one_line(caption), None if label is None else one_line(str(label)))


def one_line(text: str) -> str:
    """Without line breaks, and without halves of characters, which JSON can hold and no file can."""
    return " ".join(text.encode("utf-8", "replace").decode().split())


def _read_texts(listing: Listing, found: Annotations) -> None:
    read: dict[Path, str | None] = {}  # a.png and a.jpg may share a.txt
    for path in listing.stills:
        text = path.with_suffix(".txt")
        if text not in read:
            read[text] = _text(listing, text)
        if (caption := read[text]) is not None:
            found.captions[path] = caption


def _text(listing: Listing, path: Path) -> str | None:
    if not os.path.isfile(path):
        return None
    _taken(listing, path)
    try:
        with path.open("rb") as file:
            return caption_of(file.read(LONGEST + 1))
    except (OSError, ValueError) as error:
        listing.refuse(path, getattr(error, "strerror", None) or str(error))
        return None


def _read_metadata(listing: Listing, found: Annotations) -> None:
    """Of each folder's metadata.jsonl, what can be used; a refusal tells of the rest by its first line."""
    stills = {os.path.normpath(path): path for path in listing.stills}
    holding = {path.parent for path in listing.stills}
    folders = {folder for inner in holding for folder in (inner, *inner.parents) if folder.is_relative_to(listing.root)}
    for folder in sorted(folders):
        path = folder / METADATA
        if not os.path.isfile(path):
            continue
        _taken(listing, path)
        bad = []
        try:
            for number, line in _lines(path):
                try:
                    _row(line, folder, stills, found)
                except (ValueError, RecursionError) as error:
                    bad.append(f"line {number}: {error}")
        except OSError as error:
            bad.append(error.strerror or str(error))
        if bad:
            listing.refuse(path, bad[0] + (f" (and {len(bad) - 1:,} more lines)" if len(bad) > 1 else ""))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST), b""), 1):
            if line.strip():
                yield number, line.removeprefix(codecs.BOM_UTF8)


def _row(line: bytes, folder: Path, stills: dict[str, Path], found: Annotations) -> None:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    name = row.get("file_name") if isinstance(row, dict) else None
    if not isinstance(name, str):
        raise ValueError('is no JSON object with a "file_name"')
    path = stills.get(os.path.normpath(folder / name))
    if path is None:
        raise ValueError(f"{one_line(name)!a} is no picture here")
    caption, label = said_in(row)
    if caption is not None:
        found.captions[path] = caption
    if label is not None:
        found.labels[path] = label


def _taken(listing: Listing, path: Path) -> None:
    """No longer an ignored file."""
    listing.ignored[path.suffix.lower()] -= 1
    listing.ignored = +listing.ignored  # without zeros
