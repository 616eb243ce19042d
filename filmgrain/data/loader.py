"""The loader: endless batches in which draw number n is a function of (dataset, seed, n) and of nothing else.

    epoch e = n // len,    index = permutation(seed, e)[n % len],    item = dataset.item(index, Random(f"{seed}:{n}"))

There is no state to save: a run resumes at a draw number, and neither workers, nor batch size, nor what was drawn
before can change a draw. No global generator is read or set. Data that are best read in places have a permutation of
their own, dataset.index_of(n, seed), which is a function of these two as well.
"""

import atexit
import copy
import multiprocessing
import os
import random
import signal
import traceback
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache, partial
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import torch

from ..files.clip import Unreadable
from ..kernels.pixels import as_data
from . import Dataset, NoData

Batch = dict[str, Any]


class WorkerLost(Exception):
    """A loader worker died, hung or failed by a defect. Errors of disks, networks and data keep their own class."""


class Loader:
    """Batches of `dataset` in the order of their draw numbers, prepared by `workers` processes (0: in this one).

    part: (i, n), every n-th item of each batch from the i-th on, for one of n processes that train together.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        batch: int,
        seed: int,
        workers: int = 0,
        part: tuple[int, int] = (0, 1),
        patience: float = 600.0,
    ) -> None:
        if batch < 1 or workers < 0:
            raise ValueError(f"batch={batch} and workers={workers}: expected at least 1 item a batch and 0 workers")
        if not len(dataset):
            raise ValueError("the dataset is empty: nothing can be drawn from it; check len(dataset) first")
        self.dataset, self.batch, self.seed, self.workers = dataset, batch, seed, workers
        if batch % part[1]:
            raise ValueError(f"batch={batch} has no {part[1]} equal parts; use a multiple of {part[1]}")
        self.part = range(part[0], batch, part[1])  # of a batch, the places of this one's items
        self.patience = patience  # seconds that a worker may take for one batch

    def batches(self, start: int = 0) -> Iterator[Batch]:
        """Batches from draw number `start` on, without end.

        Each is {"x": float32 in [-1, 1] (b c f h w) or (b c h w), "n": int64 draw numbers (b), ...}; other numbers and
        arrays are stacked to tensors, anything else is a list.
        """
        prepared = self._from_workers(start) if self.workers else map(self._prepare, count(start, self.batch))
        return map(to_tensors, prepared)

    def epoch_of(self, n: int) -> int:
        return n // len(self.dataset)

    def index_of(self, n: int) -> int:
        if hasattr(self.dataset, "index_of"):
            return self.dataset.index_of(n, self.seed)
        epoch, position = divmod(n, len(self.dataset))
        return permutation(len(self.dataset), self.seed, epoch)[position]

    def draw(self, n: int) -> dict[str, Any]:
        """The item of draw number n, with n beside it."""
        return self.dataset.item(self.index_of(n), random.Random(f"{self.seed}:{n}")) | {"n": n}

    def _prepare(self, first: int) -> Batch:
        return collate([self.draw(first + i) for i in self.part])

    def _from_workers(self, start: int) -> Iterator[Batch]:
        """Worker k of w sends batches k, k + w, k + 2w ... through a pipe of its own: the order needs no bookkeeping,
        a full pipe is what holds a fast worker back, and a closed one is how a death shows, at once and on either side.
        """
        pipes: list[Connection] = []
        processes: list[BaseProcess] = []
        end = atexit.register(partial(_kill, processes))
        try:
            for worker in range(self.workers):
                reader, writer = multiprocessing.Pipe(duplex=False)
                pipes.append(reader)
                first, step = start + worker * self.batch, self.workers * self.batch
                process = multiprocessing.Process(target=_work, args=(self, writer, pipes, first, step), daemon=True)
                process.start()
                writer.close()  # so that the worker holds the only one, and its death closes the pipe
                processes.append(process)
            for i in count():
                yield self._receive(pipes[i % self.workers], processes[i % self.workers])
        finally:
            end()
            atexit.unregister(end)

    def _receive(self, pipe: Connection, process: BaseProcess) -> Batch:
        advice = f"use fewer workers than {self.workers} (train.workers=0 loads in the main process) and resume"
        if not pipe.poll(self.patience):
            raise WorkerLost(f"loader worker {process.pid} gave no batch for {self.patience:g} s; {advice}")
        try:
            received = pipe.recv()
        except EOFError:
            process.join(timeout=1)
            reason = "signal 9, often for want of memory" if process.exitcode == -9 else f"code {process.exitcode}"
            raise WorkerLost(f"loader worker {process.pid} died ({reason}); {advice}") from None
        if isinstance(received, Exception):
            raise received
        return received


def _work(loader: Loader, pipe: Connection, inherited: list[Connection], first: int, step: int) -> None:
    """A worker's life: send every `step`-th batch until the main process closes the pipe or dies.

    Signals are the main process's to answer, and it may still want batches after one; it ends workers by SIGKILL.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for reader in inherited:  # a forked copy of a reading end would keep a pipe open whose reader is dead
        reader.close()
    try:
        for n in count(first, step):
            pipe.send(loader._prepare(n))
    except BrokenPipeError:
        return
    except Exception as error:
        pipe.send(_told(error))


def _told(error: Exception) -> Exception:
    """What the main process raises of a worker's error, the traceback with it.

    Errors that are no defect keep their class, by which the exit code is chosen, if they can be sent at all.
    """
    trace = traceback.format_exc()
    with suppress(Exception):
        if isinstance(error, (OSError, NoData, Unreadable)):
            error.add_note(f"in loader worker {os.getpid()}:\n{trace}")
            return copy.deepcopy(error)  # one that cannot be made anew cannot be sent either
    return WorkerLost(f"loader worker {os.getpid()} failed:\n{trace}")


def _kill(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.join()


@lru_cache(maxsize=2)  # a batch may straddle two epochs
def permutation(length: int, seed: int, epoch: int) -> list[int]:
    """The order of one epoch."""
    order = list(range(length))
    random.Random(f"{seed}:epoch:{epoch}").shuffle(order)
    return order


def collate(items: list[dict[str, Any]]) -> Batch:
    """Items -> one dict: numbers and equally shaped arrays stacked, the rest in lists."""
    return {key: _stack([item[key] for item in items]) for key in items[0]}


def _stack(values: list[Any]) -> Any:
    numbers = all(isinstance(value, (bool, int, float, np.number)) for value in values)
    if numbers or (all(isinstance(v, np.ndarray) for v in values) and len({v.shape for v in values}) == 1):
        # Rows lie one after another, as those that a worker sends do: kernels round otherwise for other strides.
        return np.array(values, order="C")
    return values


def to_tensors(batch: Batch) -> Batch:
    """numpy -> torch, and x to float32 in [-1, 1]."""
    tensors = {key: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for key, v in batch.items()}
    return tensors | {"x": as_data(tensors["x"])}
