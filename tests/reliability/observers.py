"""A11: previews, validations and loggers that fail, draw random numbers or meddle change nothing of what is trained."""

import os
import random
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, Never

import numpy as np
import torch
from rich.console import Console
from target import Left, changed, emptied, left, trained
from trial import Trial, first, unless

from filmgrain.files import fsio
from filmgrain.tasks.diffusion import Task
from filmgrain.training.log import Log

RECIPE = changed(validate_every=2, preview_every=2)


def fails(error: type[Exception]) -> Callable[[Task], None]:
    def fail(task: Task) -> Never:
        raise error("on purpose")

    return fail


def draws(task: Task) -> None:
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    torch.rand(3)


def poisons(task: Task) -> None:
    for tensor in [*task.model.parameters(), *task.model.buffers()]:
        tensor.data.fill_(1 if tensor.dtype == torch.int64 else torch.nan)


def trains(task: Task) -> None:
    """In training mode, with gradients, and statistics that move."""
    task.model.train()
    with torch.enable_grad():
        task.model.network(torch.randn(2, 3, 4, 16, 16), torch.zeros(2), None).sum().backward()


def freezes(task: Task) -> None:
    task.model.eval()
    torch.set_grad_enabled(False)


MISCHIEF: dict[str, Callable[[Task], None]] = {
    **{error.__name__: fails(error) for error in (ValueError, OSError, MemoryError, RecursionError, StopIteration)},
    "random numbers": draws,
    "NaN into the weights": poisons,
    "a step of its own": trains,
    "no gradients": freezes,
}


def meddling(word: str, act: Callable[[Task], None]) -> None:
    """In this process: after the rehearsal, a validation or preview does `act` first."""
    given, calls = getattr(Task, word), iter(range(100))

    def acted(self: Task, *rest: Any) -> Any:
        if next(calls):
            act(self)
        return given(self, *rest)

    setattr(Task, word, acted)


def refuse(*_: Any, **__: Any) -> Never:
    raise OSError(28, "No space left on device")


LOGGERS: dict[str, Callable[[], None]] = {
    "metrics.jsonl": lambda: setattr(fsio, "append_jsonl", refuse),
    "the terminal": lambda: setattr(Console, "print", refuse),
    "a full disk under stdout": lambda: os.dup2(os.open("/dev/full", os.O_WRONLY), 1) and None,
    "TensorBoard": lambda: setattr(Log, "__enter__", with_tensorboard),
}


def with_tensorboard(self: Log) -> Log:
    class Writer:
        add_scalar = close = refuse

    self.bar.start()
    self.tensorboard = Writer()
    return self


def trials(root: Path, quick: bool) -> Iterator[Trial]:
    calm = trained(root / "whole", recipe=RECIPE)
    assert calm.code == 0, calm
    whole = left(root / "whole")
    works = {
        f"{word}: {name}": (lambda w=word, n=name: meddling(w, MISCHIEF[n]))
        for word, name in product(("validate", "preview"), MISCHIEF)
    }
    works |= {f"log: {name}": work for name, work in LOGGERS.items()}
    for name, work in list(works.items())[:: 4 if quick else 1]:
        ended = trained(emptied(root / "trial"), recipe=RECIPE, prepare=work)
        fault = unless(ended.code == 0, f"ended with {ended}")
        yield Trial(name.partition(":")[0], name, fault or other_training(left(root / "trial"), whole))


def other_training(ours: Left, whole: Left) -> str:
    """Of rows, those that both have: a log that failed has none."""
    kept = {name: data for name, data in whole.files.items() if not name.startswith("previews/")}
    theirs = [row for row in whole.rows if "loss" in row]
    mine = [row for row in ours.rows if "loss" in row]
    return first(
        *(unless(ours.files.get(name) == data, f"{name} differs") for name, data in kept.items()),
        unless(not mine or mine == theirs, "metrics.jsonl has other rows"),
    )
