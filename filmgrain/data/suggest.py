"""Settings that suit what lies in a folder, chosen from what its files say of themselves, with a reason for each.

An archive of a known format goes first, then videos, then pictures, then tar shards. Those of a URL, and those that
would be too much for the disk of the cache once they are decoded, are read as they are needed.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..files.member import Member
from ..files.remote import is_url
from ..files.video import Info
from . import NoData, cache, cifar, cifar_files, idx, image_folder, shards, stream, video_folder
from . import shard_index as indices
from . import shard_source as sources
from .annotations import annotations, in_order
from .choices import for_clips, probed, size, some
from .likeness import unlike
from .listing import Listing, look, nothing

STREAMED = 16  # shards of a URL whose rows are looked at


@dataclass(frozen=True)
class Suggestion:
    config: Any  # of a file of this room
    reasons: list[str]  # a line a choice
    fps: float = 8.0  # frames a second at which a window moves as its file does
    classes: tuple[str, ...] = ()  # of the labels, if there are any


def suggest(folder: str, *, largest: int = 64) -> Suggestion:
    """Settings for what lies in a folder.

    The shorter side of videos and pictures is at most `largest` pixels. Raises `NoData` if nothing is usable.
    """
    if is_url(folder) or sources.expanded(folder) != [folder]:
        return _stream(folder, largest)
    if folder.endswith(".tar") and os.path.isfile(folder):
        return _shards(folder, largest)
    if os.path.isdir(folder):
        if idx.sets(Path(folder)):
            return _idx(folder)
        if cifar_files.places(Path(folder)):
            return _cifar(folder)
    listing = look(folder)
    clips = {path: info for path, info in probed(listing.videos) if info.frames > 1}
    stills = {} if clips and not unlike(list(clips)) else dict(probed(some(listing.stills)))
    if stills:
        return _pictures(listing, stills, largest, films=len(clips))
    if clips:
        settings, reasons, fps = for_clips(clips, largest)
        return Suggestion(video_folder.Config(folder=folder, **settings), reasons, fps)
    if listing.ignored[".tar"]:
        return _shards(folder, largest)
    raise nothing(listing, "video or still")


def _idx(folder: str) -> Suggestion:
    prefix, *others = idx.sets(Path(folder))
    config = idx.Config(folder=folder, prefix=prefix if others else "", fit="scale")
    data = idx.Dataset(config)
    height, width = data.pictures.pixels.shape[1:3]
    size = {"height": -(-height // 8) * 8, "width": -(-width // 8) * 8}
    reasons = [f'name="idx": {len(data):,} pictures of {width}x{height} in idx files, as MNIST has them']
    if others:
        reasons.append(f'prefix="{prefix}": the first set of {1 + len(others)}; the others are {", ".join(others)}')
    reasons.append(f"height={size['height']}, width={size['width']}: black is put around up to a multiple of 8")
    return Suggestion(replace(config, fit="pad", **size), reasons, classes=tuple(data.classes or ()))


def _cifar(folder: str) -> Suggestion:
    config = cifar.Config(folder=folder, flip=True)
    place = cifar_files.find(Path(folder))
    reasons = [f'name="cifar": {place.path.name} holds {place.edition}', "flip=true: as in Ho et al. (2020)"]
    return Suggestion(
        config, reasons, classes=tuple(cifar.classes(place, cifar_files.EDITIONS[place.edition], config.labels))
    )


def _pictures(listing: Listing, stills: Mapping[Path, Info], largest: int, films: int) -> Suggestion:
    videos = "no video"
    if films:
        videos = f"no film in {films:,} folders of numbered pictures, whose neighbours are too unlike"
    settings, why = size(list(stills.values()), largest)
    reasons = [f'name="image_folder": {len(listing.stills):,} pictures and {videos}', why]
    said = annotations(listing, "auto")
    if said.classes:
        first = ", ".join(said.classes[:4]) + (" ..." if len(said.classes) > 4 else "")
        reasons.append(f'labels="auto": {len(said.classes):,} classes, {first}')
    config = image_folder.Config(folder=str(listing.root), **settings)
    return Suggestion(config, reasons, classes=tuple(said.classes or ()))


def _shards(folder: str, largest: int) -> Suggestion:
    found = shards.find(Path(folder))
    rows = [(path, row) for path in found for row in indices.index(path, cache.folder()).rows]
    moves = 2 * sum(row.moves for _, row in rows) > len(rows)
    kept = {Member(path, row.name, row.offset, row.size): row for path, row in rows if row.moves == moves}
    infos = dict(probed(some(list(kept))))
    if not infos:
        raise NoData(f"{folder} holds no usable picture or video in its {len(found)} tar shards")
    what = f'name="shards": {len(kept):,} {"videos" if moves else "pictures"} in {len(found)} tar shards'
    settings, reasons, fps = _settings(infos, moves, largest)
    decoded = 3 * settings["height"] * settings["width"] * sum(row.frames for row in kept.values())
    if decoded > _free(cache.folder()) / 2:
        return _stream(folder, largest)
    classes = in_order(row.label for row in kept.values() if row.label is not None)
    return Suggestion(shards.Config(folder=folder, **settings), [what, *reasons], fps, tuple(classes))


def _stream(folder: str, largest: int) -> Suggestion:
    """Of a few shards their rows, of the others what their heads say."""
    found = sources.find(folder, stream.Config(folder=folder).shelf, cache.folder()).shards
    heads = [indices.head(shard.index) for shard in found]
    counts = [sum(kind.count for kind in kinds) for kinds in zip(*((h.pictures, h.clips) for h in heads), strict=True)]
    moves = counts[1] > counts[0]
    infos: dict[Member, Info] = {}
    for shard in found[:: -(-len(found) // STREAMED)]:
        for _, row in indices.rows(shard.index):
            if row.moves == moves:
                member = Member(Path(shard.name), row.name, row.offset, row.size)
                infos[member] = Info(row.frames, row.height, row.width, row.duration)
    if not infos:
        raise NoData(f"{folder} holds no usable picture or video in its {len(found)} tar shards")
    labels = in_order(label for head in heads for label in (head.clips if moves else head.pictures).labels)
    what = f'name="stream": {counts[moves]:,} {"videos" if moves else "pictures"} in {len(found)} shards, as needed'
    settings, reasons, fps = _settings(infos, moves, largest)
    return Suggestion(stream.Config(folder=folder, **settings), [what, *reasons], fps, tuple(labels))


def _settings(infos: Mapping[Member, Info], moves: bool, largest: int) -> tuple[dict[str, Any], list[str], float]:
    if moves:
        return for_clips(infos, largest)
    settings, why = size(list(infos.values()), largest)
    return settings, [why], Suggestion.fps


def _free(folder: Path) -> int:
    """Bytes on the disk of a folder that may not be there yet."""
    return shutil.disk_usage(next(path for path in (folder, *folder.absolute().parents) if path.is_dir())).free
