"""A1: killed anywhere and resumed, a run ends as if nothing had happened, and has lost one save interval at most."""

import json
import random
import shutil
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from children import Ended
from moments import At, kill, on, torn
from target import RECIPE, Left, begun, difference, emptied, finished, left, moments_of, reached, trained
from trial import Trial, first, unless

RANDOM = 100  # runs killed at random times


def trials(root: Path, quick: bool) -> Iterator[Trial]:
    names = moments_of(lambda at: trained(root / "whole", at=at), root / "names")
    whole = left(root / "whole")
    phases = phases_of(names)
    for number, (name, phase) in enumerate(zip(names, phases, strict=True)):
        if not quick or (phase in ("save", "rotation") and number < names.index("step 6")):
            yield killed_once(root, whole, phase, name, on(number, kill))
    yield from torn_writes(root, whole, names, quick)
    yield from killed_resuming(root, whole, quick)
    yield from killed_at_random(root, whole, 4 if quick else RANDOM)


def killed_once(root: Path, whole: Left, kind: str, what: str, at: At) -> Trial:
    folder = emptied(root / "trial")
    died = trained(folder, at=at)
    done = reached()
    ended = finished(folder)
    return Trial(kind, what, first(unless(died.killed, f"was not killed: {died}"), fault(folder, whole, ended, done)))


def fault(folder: Path, whole: Left, ended: Ended, done: int) -> str:
    """What is wrong with a run that was killed after `done` steps and resumed."""
    if ended.code:
        return f"could not be resumed: {ended}"
    lost = done - begun(ended)
    return first(
        difference(folder, whole), unless(lost <= RECIPE.train.save_every, f"{lost} steps of {done} were lost")
    )


def phases_of(names: list[str]) -> list[str]:
    """What a run is at, at each of its moments."""
    phases, phase = [], "first save"
    for name in names:
        if name.startswith("step "):
            phase = "training"
        elif "previews" in name:
            phase = "preview"
        elif name.startswith("rename checkpoints/step-"):
            phase = "rotation"
        elif "metrics.jsonl" in name and phase != "first save":
            phase = "rows"
        elif name.startswith("mkdir checkpoints/.tmp") and phase != "first save":
            phase = "save"
        phases.append(phase)
    return phases


def torn_writes(root: Path, whole: Left, names: list[str], quick: bool) -> Iterator[Trial]:
    """Killed in the middle of a write: of the files that grow between two moments, each may grow by half only."""
    for number, path, limit in growths(root)[:: 5 if quick else 1]:
        yield killed_once(
            root, whole, "torn write", f"{path} after {names[number]}", on(number, torn(limit, deadly=True))
        )


def growths(root: Path) -> list[tuple[int, str, int]]:
    """After which moment a file grows, which one, and half-way to its new size."""
    return [
        (number, name, (before.get(inode, ("", 0))[1] + size) // 2)
        for number, (before, after) in enumerate(pairwise(sizes_of(root)))
        for inode, (name, size) in after.items()
        if size > before.get(inode, ("", 0))[1]
    ]


def sizes_of(root: Path) -> list[dict[str, tuple[str, int]]]:
    """The names and sizes of a run's files at each moment, by inode: a rename is no growth."""
    folder, log = emptied(root / "sized"), root / "sizes.jsonl"
    log.unlink(missing_ok=True)

    def note(name: str) -> None:
        files = [(path.name, path.stat()) for path in folder.rglob("*") if path.is_file()]
        found = {about.st_ino: (name, about.st_size) for name, about in files}
        with log.open("a") as file:
            file.write(json.dumps(found) + "\n")

    ended = trained(folder, at=note)
    assert ended.code == 0, ended
    return [json.loads(line) for line in log.read_text().splitlines()]


def killed_resuming(root: Path, whole: Left, quick: bool) -> Iterator[Trial]:
    """Twice: in the middle of its last save, and again at every moment of its resumption up to the next save."""
    base, folder = emptied(root / "base"), root / "trial"
    trained(base, at=lambda name: kill(name) if "step-00000007" in name and name.startswith("sync") else None)

    def again(at: At) -> Ended:
        shutil.copytree(base, emptied(folder))
        return trained(folder, resume=True, at=at)

    names = moments_of(again, root / "names")
    until = next(number for number, name in enumerate(names) if name == "step 7")
    for number, name in enumerate(names[: until + 1]):
        if quick and number % 4:
            continue
        second = again(on(number, kill))
        ended = finished(folder)
        not_killed = unless(second.killed, f"was not killed: {second}")
        yield Trial("load (killed twice)", name, first(not_killed, fault(folder, whole, ended, 7)))


def killed_at_random(root: Path, whole: Left, count: int) -> Iterator[Trial]:
    """After a random time, and after another one when it is resumed."""
    began = time.monotonic()
    trained(emptied(root / "timed"))
    length = time.monotonic() - began
    for seed in range(count):
        draw, folder, deaths, done = random.Random(seed), emptied(root / "trial"), 0, 0
        for again in (False, True):
            after = draw.random() * length

            def alarm(name: str, after: float = after) -> None:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process at once, whatever it does
                signal.setitimer(signal.ITIMER_REAL, after)

            ended = finished(folder, at=on(0, alarm)) if again else trained(folder, at=on(0, alarm))
            deaths, done = deaths + ended.killed, max(done, reached())
        ended = finished(folder)
        what = f"seed {seed}, killed {deaths} times"
        yield Trial("random times, twice", what, fault(folder, whole, ended, min(done, begun(ended) + 5)))
