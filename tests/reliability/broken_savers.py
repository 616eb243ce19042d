"""Three ways of saving that are wrong, and widespread: the trials of A1 must catch each of them.

overwrite in place   one folder, whose files are written anew
JSON pointer         folders written as they are to be, and a file latest.json that names the newest
delete first         the old checkpoint goes before the new one is written
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kills import fault
from moments import kill, on
from target import emptied, finished, left, moments_of, reached, trained
from trial import Trial, unless

from filmgrain.files import fsio
from filmgrain.training import checkpoint, keeper

Patches = list[tuple[Any, str, Any]]


@contextmanager
def in_place(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    fsio.point("save.open")
    yield folder
    fsio.point("save.done")


@contextmanager
def pointed_at(folder: Path) -> Iterator[Path]:
    with in_place(folder):
        yield folder
    (folder.parent / "latest.json").write_text(json.dumps(folder.name))


def as_pointed(checkpoints: Path) -> fsio.Newest:
    pointer = checkpoints / "latest.json"
    return fsio.Newest(checkpoints / json.loads(pointer.read_text()) if pointer.exists() else None, [])


def deleting_first(run: Any, *rest: Any, save: Callable[..., Path] = checkpoint.save) -> Path:
    for folder in fsio.staged_folders(run.checkpoints):
        fsio.remove(folder)
    return save(run, *rest)


UNVERIFIED: Patches = [(fsio, "verify", lambda folder: None)]
SAVERS: dict[str, Patches] = {
    "overwrite in place": [*UNVERIFIED, (fsio, "staged", in_place), (checkpoint, "name_of", lambda _: "step-00000000")],
    "JSON pointer": [*UNVERIFIED, (fsio, "staged", pointed_at), (fsio, "newest", as_pointed)],
    "delete first": [(keeper.checkpoint, "save", deleting_first)],
}


@contextmanager
def patched(patches: Patches) -> Iterator[None]:
    former = [(place, name, getattr(place, name)) for place, name, _ in patches]
    for place, name, value in patches:
        setattr(place, name, value)
    try:
        yield
    finally:
        for place, name, value in former:
            setattr(place, name, value)


def trials(root: Path, quick: bool) -> Iterator[Trial]:
    """Killed at each moment from step 5 on: in a steady save and in the last one, and what belongs to them."""
    for saver, patches in SAVERS.items():
        with patched(patches):
            names = moments_of(lambda at: trained(emptied(root / "whole"), at=at), root / "names")
            whole, folder = left(root / "whole"), root / "trial"
            later = range(names.index("step 5") + 1, len(names))
            tried = [n for n in later if re.search("checkpoints|point", names[n])]
            tried = [n for n in tried if not quick or n % 3 == 0 or "latest" in names[n]]
            caught = 0
            for number in tried:
                trained(emptied(folder), at=on(number, kill))
                done = reached()
                caught += bool(fault(folder, whole, finished(folder), done))
        yield Trial(f"{saver}: caught at {caught} of {len(tried)} points", saver, unless(caught, "was not caught"))
