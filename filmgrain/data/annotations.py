"""What is said of pictures and videos by the files beside them: captions and labels.

    NAME.txt           the caption of NAME.png, NAME.mp4 ...; of a folder of frames NAME/ too
    metadata.jsonl     a JSON object a line: "file_name", relative to its own folder; "text" or "caption"; "label".
                       captions.jsonl, captions.csv and metadata.csv (tables.py) are the same
    a sub-folder       the label of all that lies in it; and their caption, if that is asked for

Those of Hugging Face's `imagefolder` and `videofolder` are among them, folders train/ and test/ above them included. A
file may have several captions: a list in its row, or several rows. What cannot be read is refused by name, and the file
is used without it.
"""

import codecs
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..files.folder import natural_text
from . import split as splits
from . import tables
from .cache import Source
from .listing import Listing

CAPTION_KEYS = ("text", "caption")
LONGEST = 65_536  # bytes of a caption
LABELS = ("auto", "folders", "metadata", "none")
CAPTIONS = ("auto", "folders", "none")


@dataclass
class Annotations:
    """By file; what nothing is said of is left out."""

    captions: dict[Source, str] = field(default_factory=dict)
    further: dict[Source, list[str]] = field(default_factory=dict)  # captions of those that have several
    labels: dict[Source, str] = field(default_factory=dict)  # names of classes
    splits: dict[Source, str] = field(default_factory=dict)  # of all, or none

    @property
    def classes(self) -> list[str] | None:
        """Of the labels; a label's number is its index here. None without labels."""
        return in_order(self.labels.values()) or None


def in_order(names: Iterable[str]) -> list[str]:
    """Every name once, 2 before 10."""
    return sorted(sorted(set(names)), key=natural_text)


def annotations(
    listing: Listing, labels: str, captions: str = "auto", files: Sequence[Path] | None = None
) -> Annotations:
    """What is said of `files`, by default a listing's stills. labels, captions: where they come from, one of LABELS
    and of CAPTIONS. Only stills go by splits that folders are named after.

    The files that say it no longer count as ignored.
    """
    stills = files is None
    files = listing.stills if files is None else files
    found = Annotations(splits=splits.by_name({path: folder_of(listing, path) for path in files}) if stills else {})
    _read_texts(listing, files, found)
    _read_tables(listing, files, found)
    if labels == "none":
        found.labels = {}
    elif labels == "folders" or (labels == "auto" and not found.labels):
        folders = {path: folder_of(listing, path, 1 if found.splits else 0) for path in files}
        certain = all(folders.values()) and len(set(folders.values())) > 1
        found.labels = {path: name for path, name in folders.items() if name and (certain or labels == "folders")}
    if captions == "none":
        found.captions, found.further = {}, {}
    elif captions == "folders":
        for path in files:
            if path not in found.captions and (words := _words(listing, path)):
                found.captions[path] = words
    return found


def check_captions(captions: str) -> None:
    if captions not in CAPTIONS:
        raise ValueError(f'captions="{captions}" is unknown; use one of {", ".join(CAPTIONS)}')


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
    """The caption, the first if there are several, and the class's name in an object of JSON.

    Raises ValueError for what is neither.
    """
    label = row.get("label")
    if not isinstance(label, (str, int, type(None))):
        raise ValueError(f"its label is neither text nor a whole number but {type(label).__name__}")
    return next(iter(captions_in(row)), None), None if label is None else one_line(str(label))


def captions_in(row: dict[str, Any]) -> list[str]:
    """All captions in an object of JSON: a text, or a list of them. Raises ValueError."""
    given: Any = next((row[key] for key in CAPTION_KEYS if row.get(key) is not None), [])
    captions = given if isinstance(given, list) else [given]
    if wrong := [caption for caption in captions if not isinstance(caption, str)]:
        raise ValueError(f"its caption is no text but {type(wrong[0]).__name__}")
    if any(len(caption) > LONGEST for caption in captions):
        raise ValueError(f"its caption is longer than one may be, {LONGEST:,} characters")
    return [one_line(caption) for caption in captions]


def one_line(text: str) -> str:
    """Without line breaks, and without halves of characters, which JSON can hold and no file can."""
    return " ".join(text.encode("utf-8", "replace").decode().split())


def _words(listing: Listing, path: Path) -> str:
    """The name of the folder that a file lies in, as words; "" for the listing's own, and for a split's."""
    name = path.parent.name if path.parent != listing.root else ""
    return "" if name.lower() in splits.PARTS else one_line(name.replace("_", " ").replace("-", " "))


def _read_texts(listing: Listing, files: Sequence[Path], found: Annotations) -> None:
    read: dict[Path, str | None] = dict.fromkeys(files)  # a.png and a.jpg may share a.txt, which may be a video itself
    for path in files:
        text = path.with_name(f"{path.name if path.is_dir() else path.stem}.txt")
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


def _read_tables(listing: Listing, files: Sequence[Path], found: Annotations) -> None:
    """Of each folder's tables, what can be used; a refusal tells of the rest by its first line."""
    known = {os.path.normpath(path): path for path in files}
    others = {os.path.normpath(path) for path in (*listing.stills, *listing.videos)} - known.keys()
    holding = {path.parent for path in files}
    folders = {folder for inner in holding for folder in (inner, *inner.parents) if folder.is_relative_to(listing.root)}
    told: set[Source] = set()  # of what a table has a caption, which replaces that of a .txt
    for path in (folder / name for folder in sorted(folders) for name in tables.NAMES):
        if not os.path.isfile(path):
            continue
        _taken(listing, path)
        bad = []
        try:
            for number, row in tables.rows(path):
                try:
                    if isinstance(row, ValueError):
                        raise row
                    name = os.path.normpath(path.parent / row["file_name"])
                    if name not in known and name not in others:
                        raise ValueError(f"{one_line(row['file_name'])!a} is no picture or video here")
                    if name in known:
                        _take(row, known[name], found, told)
                except ValueError as error:
                    bad.append(f"line {number}: {error}")
        except (OSError, ValueError) as error:
            bad.append(getattr(error, "strerror", None) or str(error))
        if bad:
            listing.refuse(path, bad[0] + (f" (and {len(bad) - 1:,} more lines)" if len(bad) > 1 else ""))


def _take(row: dict[str, Any], path: Path, found: Annotations, told: set[Source]) -> None:
    captions, (_, label) = captions_in(row), said_in(row)
    if captions and path not in told:
        told.add(path)
        found.captions[path], *captions = captions
    if more := [caption for caption in captions if caption != found.captions[path]]:
        found.further.setdefault(path, []).extend(more)
    if label is not None:
        found.labels[path] = label


def _taken(listing: Listing, path: Path) -> None:
    """No longer an ignored file."""
    listing.ignored[path.suffix.lower()] -= 1
    listing.ignored = +listing.ignored  # without zeros
