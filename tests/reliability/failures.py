"""B: what else ends a run says in one line what is the matter and what to do, and leaves with its own code."""

import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from children import Ended
from target import DATA, RECIPE, changed, difference, emptied, finished, left, recipes, runs, trained
from trial import Trial, first, unless

from filmgrain.data.loader import Loader
from filmgrain.generate.videos import generate
from filmgrain.tasks.diffusion import Task
from filmgrain.training import checkpoint

WORKED = changed(workers=2)
OTHERS = {  # settings on which the weights depend, changed when a run is resumed
    "network.width": "32",
    "data.frames": "5",
    "data.kinds": '["ring"]',
    "diffusion.prediction": '"eps"',
    "diffusion.schedule.shift": "-1.0",
    "task.distance": '"l1"',
    "train.lr": "1e-5",
    "train.batch": "3",
    "train.accumulate": "2",
    "train.seed": "1",
    "train.ema": "0.5",
    "train.optimizer": '"adam"',
    "train.warmup": "7",
    "train.clip": "0.5",
    "train.betas": "[0.5, 0.9]",
    "train.weight_decay": "0.5",
}
MEMORY = {
    "of the processor": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 TB"),
    "of Python": MemoryError(),
    "of a GPU": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
}


def ended_so(ended: Ended, code: int, *said: str) -> str:
    """One line, in which all of `said` occurs, and the code."""
    lines = [line for line in ended.said.splitlines() if line.startswith("filmgrain: ")]
    right = ended.code == code and len(lines) == 1 and all(re.search(text, lines[0]) for text in said)
    return unless(right, f"{ended}, where {code} and {said} were expected")


def in_worker(act: Callable[[], object]) -> None:
    """In this process's loader workers, item 8 and later do `act`."""
    item, count = type(DATA["train"]).item, iter(range(1 << 30))

    def acting(self: Any, index: int, rng: Any) -> dict[str, Any]:
        if multiprocessing.parent_process() is not None and next(count) == 4:
            act()
        return item(self, index, rng)

    type(DATA["train"]).item = acting  # type: ignore[method-assign]
    runs.Loader = partial(Loader, patience=1.0)  # type: ignore[misc, assignment]


def fail() -> None:
    raise KeyError("a caption")


WORKERS: dict[str, tuple[Callable[[], object], str]] = {
    "dead worker": (lambda: os.kill(os.getpid(), signal.SIGKILL), r"died \(signal 9, often for want of memory\)"),
    "hung worker": (lambda: time.sleep(60), r"gave no batch for 1 s"),
    "failing worker": (fail, r"failed.*KeyError"),
}


def trials(root: Path, quick: bool) -> Iterator[Trial]:
    assert trained(root / "whole").code == 0
    whole, folder = left(root / "whole"), root / "trial"
    for name, (act, said) in WORKERS.items():
        began = time.monotonic()
        ended = trained(emptied(folder), recipe=WORKED, prepare=partial(in_worker, act))
        fast = unless(time.monotonic() - began < 30, "took half a minute")
        again = finished(folder)
        yield Trial(
            "workers",
            name,
            first(ended_so(ended, 70, said), fast, str(again) * bool(again.code), difference(folder, whole)),
        )
    for name, error in MEMORY.items():
        ended = trained(emptied(folder), prepare=partial(raising, error))
        yield Trial("out of memory", name, ended_so(ended, 70, "out of memory; lower train.batch"))
    yield from other_recipes(root / "whole", quick)
    ended = trained(root / "whole", resume=True, prepare=lambda: setattr(checkpoint, "FORMAT", 0))
    yield Trial("newer format", "resumed", ended_so(ended, 65, "has format 1; this version reads up to 0: update"))
    yield from same_noise(root / "whole")


def raising(error: BaseException) -> None:
    def raised(self: Task, *_: Any) -> Any:
        raise error

    Task.loss = raised  # type: ignore[method-assign]


def other_recipes(run: Path, quick: bool) -> Iterator[Trial]:
    """Refused with the difference."""
    for key, value in list(OTHERS.items())[:: 4 if quick else 1]:
        other = recipes.override(RECIPE, [f"{key}={value}"])
        ended = trained(run, resume=True, recipe=other)
        yield Trial("changed recipe", f"{key}={value}", ended_so(ended, 3, "another recipe", rf"{key} was .* and is"))


def same_noise(run: Path) -> Iterator[Trial]:
    """A sample alone, and in a batch of any size."""
    model = runs.load(run, device="cpu")
    alone = generate(model, 8, seed=3, config=RECIPE.sample, batch=1)
    for batch in (2, 3, 5, 8):
        apart = float((generate(model, 8, seed=3, config=RECIPE.sample, batch=batch) - alone).abs().max())
        yield Trial("batches of samples", f"batch={batch}", unless(apart <= 1e-4, f"{apart} apart"))
