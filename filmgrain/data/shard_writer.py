"""A folder of pictures and clips as tar shards in the WebDataset layout: files as they are, and what is said of them.

    shard-000003.tar         000004711.mp4, 000004711.txt (caption), 000004711.json ("label", and "file", its old name)
    shard-000003.index.jsonl what lies where in it (`shard_index`)
    shards.json              the catalogue (`shard_source`), written last: with it, the shards are complete

Files lie in the order of their names' hashes, so that a shard is an even sample of all. Each is decoded once, to its
end, in a process apart; what cannot be is named and left out. The bytes are a function of the files and the size, and a
shard is there as a whole or not at all, so a second run goes on where the first has stopped.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ..files import fsio
from ..files.encode import staged
from . import shard_index, tar_index
from .annotations import Annotations, annotations
from .cache import Entry, Scaled
from .listing import Listing, look, nothing
from .prepare import Progress, prepare
from .shard_source import CATALOGUE, VERSION
from .tar_index import LARGEST

SMALLEST = 10**6  # bytes of a shard
BLOCK = tarfile.BLOCKSIZE
PREFIX = {"train": "train", "held_out": "val", "": "shard"}  # by the split that a file's folder is named after


class OtherShards(Exception):
    """A folder that holds something else than what is to be written into it."""


@dataclass(frozen=True)
class Planned:
    """A shard before it is made."""

    name: str
    files: list[Path]
    first: int  # number of the first file, of all shards of the prefix


@dataclass(frozen=True)
class Written:
    shards: int
    made: int  # of them now; the others were there
    pictures: int
    clips: int
    bytes: int
    refused: list[list[str]]  # file and reason


def write(
    folder: str,
    out: Path,
    *,
    size: int,
    labels: str = "auto",
    processes: int = 0,
    progress: Progress | None = None,
) -> Written:
    """Shards of about `size` bytes. labels: as `annotations` takes them. Raises `NoData`, `OtherShards`, OSError."""
    if size < SMALLEST:
        raise ValueError(f"a shard of {size:,} bytes is too small; use {SMALLEST:,} or more")
    listing = look(folder)
    files = [path for path in listing.videos if path.is_file()] + listing.stills
    listing = replace(listing, stills=sorted(files, key=lambda path: _hash(listing.name(path))))
    said = annotations(listing, labels)
    planned = list(_plan(listing, said, size))
    with fsio.lock(out):
        _check(out, {shard.name for shard in planned})
        heads, made, done = [], 0, 0
        for shard in planned:
            made_of = _made_of(shard, listing, said)
            head = _there(out / shard.name, made_of)
            if head is None:
                made += 1
                head = _make(out / shard.name, shard, made_of, listing, said, processes)
            heads.append(head)
            done += len(shard.files)
            if progress:
                progress(done, len(files))
        refused = [[file.path, file.reason] for file in listing.refused] + [one for h in heads for one in h.left_out]
        pictures, clips = sum(head.pictures.count for head in heads), sum(head.clips.count for head in heads)
        if not pictures + clips:
            raise nothing(listing, "video or still")
        _write_catalogue(out, planned, heads, refused)
    return Written(len(planned), made, pictures, clips, sum(head.bytes for head in heads), refused)


def _plan(listing: Listing, said: Annotations, size: int) -> Iterator[Planned]:
    """The files cut into shards, by the sizes of the files alone."""
    for split, prefix in PREFIX.items():
        files = [path for path in listing.stills if said.splits.get(path, "") == split]
        first = last = shards = 0
        while first < len(files):
            room = size
            while last < len(files) and (room > 0 or last == first):
                room -= 5 * BLOCK + files[last].stat().st_size  # heads and texts come to about as much
                last += 1
            yield Planned(f"{prefix}-{shards:06d}.tar", files[first:last], first)
            first, shards = last, shards + 1


def _made_of(shard: Planned, listing: Listing, said: Annotations) -> str:
    """What the bytes of a shard are a function of, as a hash."""
    about = []
    for path in shard.files:
        status = path.stat()
        texts = said.captions.get(path), said.labels.get(path)
        about.append([listing.name(path), status.st_size, status.st_mtime_ns, *texts])
    return _hash(json.dumps([shard_index.VERSION, shard.first, about]))


def _check(out: Path, names: set[str]) -> None:
    """That nothing lies there that would be written over, or be taken for one of these shards."""
    for path in sorted(out.glob("*.tar")):
        index = path.with_suffix(shard_index.SUFFIX)
        if path.name not in names or not index.exists():
            raise OtherShards(f"{path} is of other shards (other files, or another --size); give a new folder")


def _there(path: Path, made_of: str) -> shard_index.Head | None:
    """The head of a shard that is finished; None for one that is not. Raises `OtherShards`."""
    try:
        head = shard_index.head(path.with_suffix(shard_index.SUFFIX))
    except FileNotFoundError:
        return None
    if path.exists() and head.made_of != made_of:
        raise OtherShards(
            f"{path} was made of other files, captions or labels, or with another --size; give a new folder"
        )
    return head if path.exists() and path.stat().st_size == head.bytes else None


def _make(
    path: Path, shard: Planned, made_of: str, listing: Listing, said: Annotations, processes: int
) -> shard_index.Head:
    """The shard and its index, which is written first: a shard without one is someone else's."""
    with TemporaryDirectory() as scratch:  # frames of a few pixels; what counts is that all can be decoded
        scaled = Scaled(root=Path(scratch), height=1, width=1, background=(255, 255, 255))
        decoded = prepare(shard.files, scaled, processes=processes)
    left_out = []
    with staged(path) as part:
        with tarfile.open(part, "w", format=tarfile.GNU_FORMAT) as tar:
            for number, (file, entry) in enumerate(zip(shard.files, decoded, strict=True), shard.first):
                content = entry if isinstance(entry, str) else _content(file, entry)
                if isinstance(content, str):
                    left_out.append([listing.name(file), content])
                else:
                    _add(tar, f"{number:09d}", file, content, listing, said)
        fsio.sync(part)
        found = tar_index.build(part)
        with part.open("rb") as bytes_:
            digest = hashlib.file_digest(bytes_, "sha256").hexdigest()
        of_shard = {"bytes": part.stat().st_size, "sha256": digest, "made_of": made_of, "left_out": left_out}
        head = shard_index.head_of(found, **of_shard)
        fsio.write_text(path.with_suffix(shard_index.SUFFIX), shard_index.text(head, found.rows))
    return head


def _content(file: Path, entry: Entry) -> bytes | str:
    """A file's bytes; or why they are not taken."""
    if (size := file.stat().st_size) > LARGEST:
        return f"has {size:,} bytes, and {LARGEST:,} are the most; cut it into shorter files"
    content = file.read_bytes()
    return content if hashlib.sha256(content).hexdigest() == entry.digest else "was changed while it was read"


def _add(tar: tarfile.TarFile, key: str, file: Path, content: bytes, listing: Listing, said: Annotations) -> None:
    caption, label = said.captions.get(file), said.labels.get(file)
    about = {"file": listing.name(file), **({} if label is None else {"label": label})}
    members = {file.suffix.lower() or ".bin": content, ".json": json.dumps(about, ensure_ascii=False).encode()}
    if caption is not None:
        members[".txt"] = caption.encode()
    for suffix, body in members.items():
        info = tarfile.TarInfo(key + suffix)
        info.size = len(body)
        tar.addfile(info, io.BytesIO(body))


def _write_catalogue(
    out: Path, planned: Sequence[Planned], heads: Sequence[shard_index.Head], refused: list[list[str]]
) -> None:
    shards = []
    for shard, head in zip(planned, heads, strict=True):
        index = (out / shard.name).with_suffix(shard_index.SUFFIX).read_bytes()
        about = {"bytes": head.bytes, "sha256": head.sha256, "index": hashlib.sha256(index).hexdigest()}
        shards.append({"name": shard.name, **about})
    text = json.dumps({"version": VERSION, "shards": shards, "refused": refused}, indent=1)
    fsio.write_text(out / CATALOGUE, f"{text}\n")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
