"""World: the processes that train one run together, and what they tell each other. One process alone is a world too.

Figures of every step go by collectives of torch.distributed: gloo for the CPU's, NCCL for a GPU's. What happens seldom
goes by the store, the little server of keys at which the processes met: the first process does what only one may do,
the others wait until it says that it is done, however long that takes.
"""

import gc
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, distributed

from ..files import fsio
from .stop import Stopped

T = TypeVar("T")
PATIENCE = 600.0  # seconds that processes wait for each other's part of a step; or as FILMGRAIN_PATIENCE says
ALONE_PATIENCE = 60  # times that: while the first process decodes files, validates or draws previews
LATE, BROKEN = 5.0, 0.5  # seconds in which the others say that they, too, have waited in vain; or lost a connection


class Lost(Exception):
    """A process is gone or hangs: who waited where, for whom, and where that one was last seen."""


class Elsewhere(Exception):
    """The first process has failed at what it does for all: its reason."""


class World:
    """A rank among `size` processes. Without a store, one process alone: all of this is what it would do anyway."""

    def __init__(
        self, rank: int = 0, size: int = 1, store: "distributed.Store | None" = None, patience: float = PATIENCE
    ) -> None:
        self.rank, self.size, self.store, self.patience = rank, size, store, patience
        self.place = "the start"
        self.known: BaseException | None = None  # what the first process has told all others of
        self._calls = 0

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def __str__(self) -> str:
        return f", {self.size} processes" if self.size > 1 else ""

    def at(self, place: str) -> None:
        """Says where this process is, so that the others can tell should it be lost there."""
        self.place = place
        if self.store is not None:
            self.store.set(f"place/{self.rank}", place)

    def mean(self, figures: dict[str, Tensor]) -> dict[str, Tensor]:
        """Each scalar's mean over the processes that have a number; the first one's, the loss, is NaN if any is."""
        if self.size == 1:
            return figures
        values = torch.stack([figure.float() for figure in figures.values()])
        silent = values.isnan()
        silent[0] = False
        sums = torch.stack([values.masked_fill(silent, 0), (~silent).float()])
        distributed.all_reduce(sums)
        return dict(zip(figures, (sums[0] / sums[1]).unbind(), strict=True))  # 0 / 0: nobody has anything to say

    def wait(self) -> None:
        """None leaves before all are here: the store may live in the first process."""
        with suppress(RuntimeError):
            self.highest(0)

    def highest(self, value: int) -> int:
        """The highest of the processes' values."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value)
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
        return int(tensor)

    def first(self, work: Callable[[], T]) -> T | None:
        """The first process works; the others wait, return nothing, and fail where it failed."""
        if self.store is None:
            return work()
        self._calls += 1
        key = f"done/{self._calls}"
        if not self.leads:
            self._await(key, 0, self.patience * ALONE_PATIENCE)
            if told := json.loads(self.store.get(key)):
                self.known = _failure(told)
                raise self.known
            return None
        try:
            result = work()
        except BaseException as error:
            self.known = error
            self.store.set(key, json.dumps(_report(error)))
            raise
        self.store.set(key, "{}")
        return result

    def in_turn(self, work: Callable[[], T]) -> T:
        """Every process works, the first one before all others: what it has left on the disk, they find."""
        result = self.first(work)
        return cast(T, result) if self.leads else work()

    def share(self, value: Any) -> Any:
        """The first process's value, JSON, to all."""
        return self.gather(value, ranks=1)[0]

    def gather(self, value: Any, ranks: int = 0) -> list[Any]:
        """The values, JSON, of all processes, or of the first so many, to all."""
        if self.store is None:
            return [value]
        self._calls += 1
        ranks = ranks or self.size
        if self.rank < ranks:
            self.store.set(f"said/{self._calls}/{self.rank}", json.dumps(value))
        keys = [f"said/{self._calls}/{rank}" for rank in range(ranks)]
        for rank, key in enumerate(keys):
            self._await(key, rank, self.patience)
        return [json.loads(self.store.get(key)) for key in keys]

    def knows(self, error: BaseException) -> bool:
        """Whether all processes go on alike after an error, since all have been told of it."""
        return self.size == 1 or error is self.known

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Inside, a broken or late connection is told as `Lost`, by rank and place."""
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not _of_the_network(error):
                raise
            raise Lost(self._who(error)) from error

    def _await(self, key: str, rank: int, patience: float) -> None:
        """Polls, so that a signal is noted at once, which a wait inside of the store would hold back."""
        assert self.store is not None
        deadline, pause = time.monotonic() + patience, 0.001
        while not self.store.check([key]):
            if time.monotonic() > deadline:
                raise Lost(f"rank {self.rank} at {self.place} waited {patience:g} s in vain for {self._seen(rank)}")
            time.sleep(pause)
            pause = min(2 * pause, 0.2)

    def _who(self, error: RuntimeError) -> str:
        """Names those that do not say within a few seconds that they have waited in vain themselves."""
        reason = f"rank {self.rank} at {self.place}: {str(error).strip().splitlines()[-1][:200]}"
        if self.store is None:
            return reason
        try:
            self.store.set(f"late/{self.rank}", "")
            late = min(LATE, self.patience) if "timed out" in str(error).lower() else BROKEN
            missing, deadline = set(range(self.size)) - {self.rank}, time.monotonic() + late
            while missing and time.monotonic() < deadline:
                missing = {rank for rank in missing if not self.store.check([f"late/{rank}"])}
                time.sleep(0.05)
            seen = ", ".join(map(self._seen, sorted(missing))) or "none of them: all have lost each other"
            return f"rank {self.rank} at {self.place} waited in vain for {seen}; go on with --resume"
        except RuntimeError:  # the store is gone, too
            return f"{reason}; go on with --resume"

    def _seen(self, rank: int) -> str:
        assert self.store is not None
        place = self.store.get(f"place/{rank}").decode() if self.store.check([f"place/{rank}"]) else "nowhere yet"
        return f"rank {rank} (last seen at {place})"


ALONE = World()


@contextmanager
def joined() -> Iterator[World]:
    """The world of this process, found by the variables that torchrun sets; alone without them."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield World()
        return
    patience = float(os.environ.get("FILMGRAIN_PATIENCE", PATIENCE))
    backend, accelerator = "gloo", torch.accelerator.current_accelerator(check_available=True)
    if accelerator is not None and accelerator.type in distributed.Backend.default_device_backend_map:
        torch.accelerator.set_device_index(int(os.environ.get("LOCAL_RANK", "0")))
        if (theirs := distributed.get_default_backend_for_device(accelerator)) != "gloo":
            backend = f"cpu:gloo,{accelerator.type}:{theirs}"
    timeout = timedelta(seconds=patience)
    store, rank, size = next(distributed.rendezvous("env://", timeout=timeout))
    world = World(rank, size, distributed.PrefixStore("filmgrain", store), patience)
    groups = distributed.PrefixStore("group", store)
    distributed.init_process_group(backend, store=groups, rank=rank, world_size=size, timeout=timeout)
    try:
        yield world
    except BaseException as error:
        if isinstance(error, Stopped) or error is world.known:  # so all are on their way out
            world.wait()
        raise
    else:
        world.wait()
    finally:
        gc.collect()  # DistributedDataParallel goes in circles, and would keep the threads of its group
        distributed.destroy_process_group()


def restarted() -> bool:
    """Whether torchrun has started this process again, after one was lost."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def _of_the_network(error: RuntimeError) -> bool:
    text = str(error).lower()
    return isinstance(error, distributed.DistError) or "gloo" in text or "connection" in text or "timed out" in text


def _report(error: BaseException) -> dict[str, Any]:
    if isinstance(error, Stopped):
        return {"signal": error.signum}
    return {"storage": isinstance(error, OSError | fsio.Damaged), "text": f"{type(error).__name__}: {error}"}


def _failure(told: dict[str, Any]) -> BaseException:
    if "signal" in told:
        return Stopped(told["signal"])
    return (OSError if told["storage"] else Elsewhere)(f"the first process failed: {told['text']}")
