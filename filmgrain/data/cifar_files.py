"""Where CIFAR's files are: in a .tar.gz, which is read through without unpacking it, or in a folder."""

import os
import re
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import NoData

LARGEST = 200 << 20  # bytes of one file; those of CIFAR-100's python version have 155 MB
LONGEST = 1 << 30  # bytes of an archive, unpacked, up to which it is searched
ARCHIVE = re.compile(r"cifar-100?-(python|binary).*\.(tar|tar\.gz|tgz)", re.IGNORECASE)
EXPECTED = "cifar-10-python.tar.gz, cifar-100-python.tar.gz, one of their binary versions, or what is in these"


@dataclass(frozen=True)
class Edition:
    """The files of one version."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str  # file of the classes' names, of "fine" or "coarse"
    key: str = ""  # of a pickle's "labels" and "label_names", the same
    label_bytes: int = 0  # before each picture of a binary file; 0: pickles


BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
EDITIONS = {  # by the name of their folder
    "cifar-10-batches-py": Edition(BATCHES, ("test_batch",), "batches.meta", key="{1}"),
    "cifar-100-python": Edition(("train",), ("test",), "meta", key="{}_{}"),
    "cifar-10-batches-bin": Edition(
        tuple(f"{name}.bin" for name in BATCHES), ("test_batch.bin",), "batches.meta.txt", label_bytes=1
    ),
    "cifar-100-binary": Edition(("train.bin",), ("test.bin",), "{}_label_names.txt", label_bytes=2),
}


@dataclass(frozen=True)
class Place:
    path: Path  # an archive, or the folder of the files
    edition: str  # of EDITIONS


def places(path: Path) -> list[Place]:
    """Every edition in a folder, unpacked or as an archive; or that of an archive. Reads no more than names."""
    if os.path.isfile(path):
        return [Place(path, edition) for edition in _in_archive(path)]
    found = []
    for name, edition in EDITIONS.items():
        for folder in (path, path / name):
            if all(os.path.isfile(folder / file) for file in (edition.train[0], edition.names.format("fine"))):
                found.append(Place(folder, name))
    archives = [p for p in sorted(path.glob("*")) if ARCHIVE.fullmatch(p.name) and os.path.isfile(p)]
    unpacked = {place.edition for place in found}
    return found + [Place(p, edition) for p in archives for edition in _in_archive(p) if edition not in unpacked]


def find(path: Path) -> Place:
    """The one edition that is there. Raises `NoData` for none and for two that differ."""
    found = places(path)
    if not found:
        raise NoData(f"{path} holds no CIFAR; expected {EXPECTED}")
    if len({place.edition.startswith("cifar-100-") for place in found}) > 1:
        raise NoData(
            f"{path} holds both {found[0].path.name} and {found[-1].path.name}; set data.folder to one of them"
        )
    return found[0]


def contents(place: Place, names: Sequence[str]) -> dict[str, bytes]:
    """The content of files of an edition, in the order asked for. Raises `NoData` where one is missing or damaged."""
    try:
        if place.path.is_dir():
            found = {name: _bounded(place.path / name) for name in names if (place.path / name).is_file()}
        else:
            found = _unpacked(place, names)
    except (OSError, EOFError, tarfile.TarError, zlib.error, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise NoData(f"{place.path}: {reason}; get the archive again") from None
    if missing := [name for name in names if name not in found]:
        raise NoData(f"{place.path}: {missing[0]} is missing; get the archive again")
    return {name: found[name] for name in names}


def _bounded(path: Path) -> bytes:
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path.name} is larger than any of CIFAR's")
    return path.read_bytes()


def _unpacked(place: Place, names: Sequence[str]) -> dict[str, bytes]:
    """Files of an archive, in one go through it as far as the last of them."""
    wanted, found = {f"{place.edition}/{name}": name for name in names}, {}
    with tarfile.open(place.path, "r|*") as tar:
        for member in tar:
            if member.offset_data + member.size > LONGEST or (member.name in wanted and member.size > LARGEST):
                raise ValueError(f"{member.name!a} is larger than any of CIFAR's")
            file = tar.extractfile(member) if member.isreg() else None
            if file is not None and (name := wanted.get(member.name.removeprefix("./"))):
                found[name] = file.read()
            if len(found) == len(names):
                break
    return found


def _in_archive(path: Path) -> list[str]:
    """The edition of an archive, by the first of its folders; none for what is no archive of CIFAR's.

    What is called CIFAR's and cannot be read counts as what it is called, so that its damage is told.
    """
    try:
        with tarfile.open(path, "r|*") as tar:
            for _, member in zip(range(20), tar, strict=False):
                if (name := member.name.removeprefix("./").split("/")[0]) in EDITIONS:
                    return [name]
    except (OSError, EOFError, tarfile.TarError, zlib.error, ValueError):
        called = re.match(r"cifar-100?-(?:python|binary)", path.name.lower())
        python10, binary10 = "cifar-10-batches-py", "cifar-10-batches-bin"
        return [{"cifar-10-python": python10, "cifar-10-binary": binary10}.get(called[0], called[0])] if called else []
    return []
