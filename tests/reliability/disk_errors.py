"""A5: a disk that is full or fails, at each effect: the last checkpoint is intact, training goes on and says why."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from children import Ended
from kills import growths, phases_of
from moments import failing, on, torn
from target import RECIPE, Left, begun, difference, emptied, finished, left, moments_of, reached, trained
from trial import Trial, first, unless

from filmgrain.files import fsio

ERRORS = {"disk full": errno.ENOSPC, "I/O error": errno.EIO}
GROWING = ("open ", "write ", "mkdir ")  # what a full disk refuses; a broken one refuses everything
TMPFS = ("400k", "700k", "1000k", "1300k")  # sizes of disks; a run needs somewhat more at its fullest


def trials(root: Path, quick: bool) -> Iterator[Trial]:
    names = moments_of(lambda at: trained(root / "whole", at=at), root / "names")
    whole = left(root / "whole")
    for kind, code in ERRORS.items():
        for number, (name, phase) in enumerate(zip(names, phases_of(names), strict=True)):
            if name.startswith(("point", "step", "opened")) or (kind == "disk full" and not name.startswith(GROWING)):
                continue
            if quick and (phase != "save" or number % 3):
                continue
            act = on(number, failing(code))
            ended = trained(emptied(root / "trial"), at=act)
            yield Trial(kind, f"{phase}: {name}", fault(root / "trial", whole, ended, os.strerror(code)))
    yield from cut_short(root, whole, names, quick)
    yield from small_disks(root, whole, quick)


def weights_alone(found: Left) -> Left:
    """Without rows and previews: one that could not be written is told, and not made again."""
    files = {name: data for name, data in found.files.items() if not name.startswith("previews/")}
    return found._replace(files=files, rows=[])


def fault(folder: Path, whole: Left, ended: Ended, reason: str) -> str:
    """A run ends as if nothing had been, or with 74 and the reason; then its last checkpoint is there to go on from."""
    if ended.code == 0:
        if "could not be deleted" in ended.said and left(folder).stale:  # by the last save, so by a resumption
            finished(folder)
        failed = "failed" in ended.said
        return difference(folder, whole, weights_alone) if failed else difference(folder, whole)
    said = [line for line in ended.said.splitlines() if line.startswith("filmgrain: ")]
    if ended.code != 74 or len(said) != 1 or reason.lower() not in said[0].lower():
        return f"ended with {ended}"
    done = reached()
    again = finished(folder)
    lost = done - begun(again)
    return first(
        unless(again.code == 0, f"could not be resumed: {again}"),
        unless(lost <= RECIPE.train.save_every, f"{lost} steps were lost"),
        "" if again.code else difference(folder, whole, weights_alone),
    )


def cut_short(root: Path, whole: Left, names: list[str], quick: bool) -> Iterator[Trial]:
    """A write that gets half of its bytes to the disk, in whatever library: each file that grows, in turn."""
    for number, path, limit in growths(root)[:: 6 if quick else 1]:
        ended = trained(emptied(root / "trial"), at=_once_cut(number, limit))
        yield Trial("cut write", f"{path} after {names[number]}", fault(root / "trial", whole, ended, "too large"))


def _once_cut(number: int, limit: int) -> Callable[[str], None]:
    """Files may not grow beyond the limit for the length of five effects: as long as a disk is full until it is not."""
    lower, lift = on(number, torn(limit, deadly=False)), on(number + 5, torn(-1, deadly=False))

    def both(name: str) -> None:
        lower(name)
        lift(name)

    return both


def small_disks(root: Path, whole: Left, quick: bool) -> Iterator[Trial]:
    """Disks that are too small, where this process may mount them; the run goes on once it is on a larger one."""
    mounted = root / "disk"
    mounted.mkdir()
    for size in TMPFS[1:2] if quick else TMPFS:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(mounted)]
        if subprocess.run(mount, capture_output=True).returncode:
            return
        try:
            ended = trained(mounted / "run")
            full = "no space left" in ended.said.lower()
            newest = fsio.newest(mounted / "run" / "checkpoints").folder
            shutil.copytree(mounted / "run", emptied(root / "trial"))
        finally:
            subprocess.run(["umount", str(mounted)], check=True)
        again = finished(root / "trial")
        wrong = "" if ended.code in (0, 74) else f"ended with {ended}"
        resumed = unless(not again.code, f"could not be resumed: {again}")
        yield Trial(
            "small tmpfs",
            f"{size}, {newest.name if newest else 'no checkpoint'}",
            first(
                unless(full, f"was never full: {ended}"),
                wrong,
                resumed,
                "" if again.code else difference(root / "trial", whole),
            ),
        )
