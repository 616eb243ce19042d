"""What lies in a folder and its sub-folders: videos, stills, what cannot be used, and what is no media at all.

A sub-folder is one clip, a *folder of frames*, if it directly holds two or more pictures and no video, and the names of
the pictures are one text with a number in it that runs on without a gap (frame_001.png, frame_002.png ...). The folder
itself is never one: give its parent. Hidden files and folders are skipped; links are followed, each folder once.
"""

import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..files.folder import SUFFIXES, natural, pictures_in
from ..files.kinds import VIDEOS, kind
from ..files.video import Unreadable, moves
from . import NoData

EXPECTED = "GIF, MP4, WebM, MKV, AVI, MOV, animated WebP or PNG, folders of frames; or pictures, for image_folder"
MAYBE_MOVING = frozenset({"gif", "webp", "png", "avif"})  # kinds of animations and of stills alike
VIDEO_SUFFIXES = {".gif", ".apng", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".flv", ".wmv"}


@dataclass(frozen=True)
class Refused:
    """A file that was meant to be used and cannot be."""

    path: str  # relative to the folder
    reason: str


@dataclass
class Listing:
    """Paths below `root`, in natural order."""

    root: Path
    videos: list[Path] = field(default_factory=list)  # files with two frames or more, and folders of frames
    stills: list[Path] = field(default_factory=list)  # pictures, those in folders of frames included
    refused: list[Refused] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)  # files that are no media, by suffix

    def name(self, path: os.PathLike[str]) -> str:
        """How a file is named to the user: relative, with / and on one line, \\ before what cannot be printed."""
        name = os.fsencode(Path(path).relative_to(self.root).as_posix()).decode("utf-8", "backslashreplace")
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)

    def refuse(self, path: os.PathLike[str], reason: str) -> None:
        self.refused.append(Refused(self.name(path), reason))

    def left_out(self) -> list[str]:
        """Lines on what was refused and ignored."""
        lines = [f"refused {refused.path}: {refused.reason}" for refused in self.refused]
        if self.ignored:
            kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(self.ignored.items()))
            lines.append(f"{self.ignored.total()} other files ignored: {kinds}")
        return lines


def look(folder: str | os.PathLike[str]) -> Listing:
    """List a folder. Raises `NoData` where there is none; what is in it may be of no use all the same."""
    root = Path(folder)
    if not root.is_dir():
        raise NoData(f"{root} is {'a file' if root.exists() else 'not there'}; give a folder of {EXPECTED}")
    listing = Listing(root)
    for directory, files in _walk(listing):
        before = len(listing.videos)
        for path in files:
            _sort_in(listing, path)
        if directory != root and len(listing.videos) == before and is_clip(pictures_in(directory)):
            listing.videos.append(directory)
    for paths in (listing.videos, listing.stills):
        paths.sort(key=lambda path: [natural(Path(part)) for part in path.relative_to(root).parts])
    return listing


def nothing(listing: Listing, wanted: str) -> NoData:
    """The error for a folder without a single `wanted` one ("video", "still")."""
    found = f"{len(listing.videos)} videos, {len(listing.stills)} stills, {listing.ignored.total()} other files"
    first = next((f"; {r.path}: {r.reason}" for r in listing.refused), "")
    return NoData(
        f"{listing.root} holds no usable {wanted} ({found}, {len(listing.refused)} refused{first}); expected {EXPECTED}"
    )


def is_clip(pictures: list[Path]) -> bool:
    """Whether pictures of one folder are a clip's frames: one name, and numbers without a gap."""
    names = [re.fullmatch(r"(.*?)(\d+)(\D*)", path.stem) for path in pictures]
    if len(names) < 2 or None in names or len({(n[1], n[3]) for n in names if n}) > 1:
        return False
    numbers = sorted(int(n[2]) for n in names if n)
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _walk(listing: Listing) -> Iterator[tuple[Path, list[Path]]]:
    """Every folder and the files in it, in natural order."""
    waiting, seen = [listing.root], set()
    while waiting:
        directory = waiting.pop()
        try:
            status = directory.stat()
            entries = sorted((p for p in directory.iterdir() if not p.name.startswith(".")), key=natural)
        except OSError as error:
            listing.refuse(directory, why(error))
            continue
        if (status.st_dev, status.st_ino) in seen:  # a link back up
            continue
        seen.add((status.st_dev, status.st_ino))
        folders = [path for path in entries if os.path.isdir(path)]  # False where Path.is_dir may raise
        waiting.extend(reversed(folders))
        yield directory, [path for path in entries if path not in folders]


def _sort_in(listing: Listing, path: Path) -> None:
    """Put a file where it belongs."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
            listing.ignored["special"] += 1
            return
        name = kind(path)
        if name is None and path.suffix.lower() in SUFFIXES | VIDEO_SUFFIXES:
            path.open("rb").close()  # where it may not be read, that is the reason
            listing.refuse(path, "is no picture or video, whatever its name says" if status.st_size else "is empty")
        elif name is None:
            listing.ignored[path.suffix.lower() or "without suffix"] += 1
        elif name in VIDEOS or (name in MAYBE_MOVING and moves(path)):
            listing.videos.append(path)
        else:
            listing.stills.append(path)
    except (OSError, Unreadable) as error:
        listing.refuse(path, why(error))


def why(error: OSError | Unreadable) -> str:
    """The reason without the path, which is named beside it."""
    return error.reason if isinstance(error, Unreadable) else error.strerror or str(error)
