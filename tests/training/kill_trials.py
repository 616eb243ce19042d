"""Trains the toy, kills it with SIGKILL at a given moment, resumes it, and prints what became of it as JSON lines.

    python kill_trials.py FOLDER points          every n-th pass of a point of fsio.py, in a run with three saves
    python kill_trials.py FOLDER times COUNT     after random times, twice in each run

A process of its own, which forks each trial: torch is imported once, and a fork of a process without threads is safe.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from toy import Toy, artefacts, batches_of, trace

from filmgrain.files import fsio
from filmgrain.training import Config, ResumeRefused, Run, train

torch.set_num_threads(1)
os.fsync = lambda file: None  # a killed process loses nothing that it wrote, synced or not
QUICK = Config(steps=7, batch=4, save_every=5, keep=1, log_every=2, validate_every=3, preview_every=4, warmup=3)
SLOW = Config(steps=12, batch=4, save_every=5, log_every=2, validate_every=3, preview_every=4, warmup=3)


class Slow(Toy):
    def loss(self, batch, group):  # type: ignore[no-untyped-def]
        time.sleep(0.01)
        return super().loss(batch, group)


def once(folder: Path, config: Config, resume: bool) -> None:
    task = Slow(os.getpid()) if resume else Slow(0)  # a resumed run starts from other weights, so it must load them
    train(task if config is SLOW else Toy(0), batches_of(4), config, Run(folder=folder, recipe="a = 1"), resume=resume)


def forked(work: Callable[[], None]) -> int:
    """The signal that ended the child, 0 for none, -1 for an error."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            work()
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)


def finish(folder: Path, config: Config) -> int:
    """Resumes, or starts anew where the run died before its first checkpoint."""

    def work() -> None:
        try:
            once(folder, config, resume=True)
        except ResumeRefused as refused:
            if fsio.staged_folders(folder / "checkpoints"):
                raise
            assert "no usable checkpoint: it holds none" in str(refused) or "holds no run" in str(refused)
            once(folder, config, resume=False)

    return forked(work)


def verdict(folder: Path, whole: Path) -> dict[str, object]:
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob(".tmp-*"))
    return {"same": artefacts(folder) == artefacts(whole), "rows": trace(folder) == trace(whole), "left": left}


def points(root: Path) -> None:
    whole, names = root / "whole", root / "names"
    fsio.point = lambda name: names.open("a").write(f"{name}\n") and None  # type: ignore[assignment]
    assert forked(lambda: once(whole, QUICK, resume=False)) == 0
    for number, name in enumerate(names.read_text().split(), 1):
        folder, left = root / "trial", [number]

        def die(_: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        fsio.point = die
        died = forked(lambda folder=folder: once(folder, QUICK, resume=False))  # type: ignore[misc]
        fsio.point = lambda name: None
        ended = finish(folder, QUICK)
        print(json.dumps({"point": name, "died": died, "ended": ended, **verdict(folder, whole)}), flush=True)
        shutil.rmtree(folder)


def times(root: Path, count: int) -> None:
    whole = root / "whole"
    started = time.monotonic()
    assert forked(lambda: once(whole, SLOW, resume=False)) == 0
    length = time.monotonic() - started
    for seed in range(count):
        folder, draw, died = root / f"trial-{seed}", random.Random(seed), []
        for _ in range(2):
            after = draw.random() * length

            def work(folder: Path = folder, after: float = after) -> None:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.setitimer(signal.ITIMER_REAL, after)  # ends the process at once, in whatever it does
                once(folder, SLOW, resume=bool(fsio.staged_folders(folder / "checkpoints")))

            died.append(forked(work))
        ended = finish(folder, SLOW)
        print(json.dumps({"died": died, "ended": ended, **verdict(folder, whole)}), flush=True)
        shutil.rmtree(folder)


if __name__ == "__main__":
    root = Path(sys.argv[1])
    with contextlib.redirect_stdout(None):
        once(root / "warm", QUICK, resume=False)  # imports and compiles here what each fork would else do for itself
    if sys.argv[2] == "points":
        points(root)
    else:
        times(root, int(sys.argv[3]))
