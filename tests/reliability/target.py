"""The run that is put on trial: a small video model of moving shapes, and all that it leaves behind.

44,571 parameters, clips of 4 frames of 16 x 16; 7 steps, saved every 5, of which one checkpoint is kept: so there are a
first save, a steady one and a last one off the interval, both with their rotations, two validations and a preview.
"""

import json
import mmap
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import tiny.convolutions  # noqa: F401  # so that a recipe may name it
import torch
from children import Ended, forked
from moments import At, watch

from filmgrain import recipe as recipes
from filmgrain import runs
from filmgrain.files import fsio
from filmgrain.recipe import Recipe

RECIPE = recipes.loads("""
[data]
name = "moving_shapes"
frames = 4
height = 16
width = 16
[network]
name = "tiny.convolutions"
[task]
validation = 2
previews = 1
[train]
steps = 7
batch = 2
save_every = 5
keep = 1
log_every = 2
validate_every = 4
preview_every = 0
warmup = 3
ema = 0.9
precision = "float32"
device = "cpu"
[sample]
steps = 2
""")
DATA = runs.datasets(RECIPE)
VOLATILE = {"time", "steps_per_second", "memory_gb"}
_done = mmap.mmap(-1, 8)  # the step that a child is at, seen by its parent


class Left(NamedTuple):
    """What a finished run has left."""

    files: dict[str, bytes]  # of the newest checkpoint and the previews
    rows: list[dict[str, Any]]  # of figures, without their times
    stale: list[str]  # that no run should leave


def changed(**train: Any) -> Recipe:
    return replace(RECIPE, train=replace(RECIPE.train, **train))


def once(folder: Path, *, resume: bool = False, recipe: Recipe = RECIPE, at: At | None = None) -> None:
    """Trains, in this process. A resumed run begins with other weights than a new one, so it must load them."""
    model = None
    if resume:
        torch.manual_seed(os.getpid())
        model = runs.build(recipe)
    watch(folder, _counting(at or (lambda name: None)))
    runs.train(recipe, folder, resume=resume, data=DATA, model=model)


def _counting(at: At) -> At:
    def counting(name: str) -> None:
        if name.startswith("step "):
            _done.seek(0)
            _done.write(int(name.split()[1]).to_bytes(8, "little"))
        at(name)

    return counting


def trained(
    folder: Path,
    *,
    resume: bool = False,
    recipe: Recipe = RECIPE,
    at: At | None = None,
    prepare: Callable[[], object] = lambda: None,
) -> Ended:
    """The same in a child, which prepares something first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _done[:] = bytes(8)

    def work() -> None:
        prepare()
        once(folder, resume=resume, recipe=recipe, at=at)

    return forked(work, folder.with_suffix(".said"))


def reached() -> int:
    """Steps that the last child had done for certain."""
    return max(0, int.from_bytes(_done[:], "little") - 1)


def finished(folder: Path, recipe: Recipe = RECIPE, at: At | None = None) -> Ended:
    """Resumes as a user would: anew only where the run says that it has no checkpoint at all."""
    ended = trained(folder, resume=True, recipe=recipe, at=at)
    if ended.code == 3 and re.search(r"holds no run|no usable checkpoint: it holds none", ended.said):
        return trained(folder, recipe=recipe, at=at)
    return ended


def begun(ended: Ended) -> int:
    """The step that a run went on from."""
    found = re.search(r"(?:resumed at|training from) step (\d+)", ended.said)
    return int(found[1]) if found else -1


def moments_of(work: Callable[[At], Ended], log: Path) -> list[str]:
    """The names of all moments of a run of `work` that nothing disturbs."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    write = os.write  # as it is before it is watched
    ended = work(lambda name: write(file, f"{name}\n".encode()) and None)
    os.close(file)
    assert ended.code == 0, ended.said
    return log.read_text().splitlines()


def left(folder: Path) -> Left:
    newest = fsio.newest(folder / "checkpoints").folder
    assert newest is not None, f"{folder} ended without a checkpoint"
    paths = [*newest.iterdir(), *(folder / "previews").glob("step-*")]
    rows = [{k: v for k, v in row.items() if k not in VOLATILE} for row in fsio.read_jsonl(folder / "metrics.jsonl")]
    stale = [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.name.startswith((".tmp-", "damaged-")) or path.suffix == ".part"
    ]
    files = {f"{path.parent.name}/{path.name}": path.read_bytes() for path in paths}
    return Left(files, [row for row in rows if "event" not in row], stale)


def difference(folder: Path, whole: Left, but: Callable[[Left], Left] = lambda found: found) -> str:
    """Why a run is not the uninterrupted one, bit for bit; empty where it is. but: leaves something out of both."""
    ours, whole = but(left(folder)), but(whole)
    for name in sorted(ours.files.keys() | whole.files.keys()):
        if ours.files.get(name) != whole.files.get(name):
            return f"{name} differs"
    if json.dumps(ours.rows) != json.dumps(whole.rows):
        return "metrics.jsonl has other rows"
    return f"{ours.stale[0]} is left" if ours.stale else ""


def emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder
