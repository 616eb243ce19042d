"""The loader's laws, on a dataset small enough to be read at a glance."""

import errno
import os
import random
import signal
import time
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from filmgrain.cli import errors
from filmgrain.data import NoData
from filmgrain.data.loader import Loader, WorkerLost, to_tensors
from filmgrain.data.shard_cache import ShardChanged
from filmgrain.files.clip import Unreadable
from filmgrain.files.remote import Unreachable


class Numbers:
    """Ten items whose pixels are their index and a number drawn."""

    def __len__(self) -> int:
        return 10

    def item(self, index: int, rng: random.Random) -> dict[str, Any]:
        x = np.array([index, rng.randrange(256)], np.uint8).reshape(2, 1, 1)
        return {"x": x, "source": f"item {index}", "label": index, "speed": np.full(3, index, np.float32)}

    def summary(self) -> list[str]:
        return []


class Failing(Numbers):
    def __init__(self, act: Any) -> None:
        self.act = act

    def item(self, index: int, rng: random.Random) -> dict[str, Any]:
        self.act()
        return super().item(index, rng)


def draws(loader: Loader, start: int, count: int) -> torch.Tensor:
    """x of draws start .. start + count, whatever the batch."""
    return torch.cat([b["x"] for b in islice(loader.batches(start), -(-count // loader.batch))])[:count]


def test_batch_holds_tensors_and_lists_in_draw_order() -> None:
    batch = next(Loader(Numbers(), batch=4, seed=0).batches(7))
    assert batch["n"].tolist() == [7, 8, 9, 10] and batch["n"].dtype == torch.int64
    assert batch["source"] == [f"item {i}" for i in batch["label"].tolist()]
    assert batch["x"].shape == (4, 2, 1, 1) and batch["x"].dtype == torch.float32
    assert batch["speed"].shape == (4, 3)


def test_range_is_exact() -> None:
    class Ends(Numbers):
        def item(self, index: int, rng: random.Random) -> dict[str, Any]:
            return {"x": np.array([[[0, 255]]], np.uint8)}

    assert next(Loader(Ends(), batch=1, seed=0).batches())["x"].flatten().tolist() == [-1.0, 1.0]


def test_an_epoch_is_a_permutation_and_epochs_differ() -> None:
    loader = Loader(Numbers(), batch=3, seed=0)
    epochs = [[loader.index_of(n) for n in range(e * 10, e * 10 + 10)] for e in range(3)]
    assert all(sorted(order) == list(range(10)) for order in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert [loader.epoch_of(n) for n in (0, 9, 10, 25)] == [0, 0, 1, 2]


@pytest.mark.parametrize("batch, workers", [(1, 0), (7, 0), (3, 2), (4, 3)])
def test_draws_do_not_depend_on_batch_or_workers(batch: int, workers: int) -> None:
    expected = draws(Loader(Numbers(), batch=5, seed=3), 0, 25)
    assert torch.equal(draws(Loader(Numbers(), batch=batch, seed=3, workers=workers), 0, 25), expected)


@pytest.mark.parametrize("workers", [0, 1])
def test_rows_lie_in_memory_one_after_another(workers: int) -> None:
    """By whichever process they were prepared, and however an item's own axes lie: kernels round by strides."""

    class Turned(Numbers):
        def item(self, index: int, rng: random.Random) -> dict[str, Any]:
            return {"x": np.zeros((4, 5, 3), np.uint8).transpose(2, 0, 1)}

    assert next(Loader(Turned(), batch=2, seed=0, workers=workers).batches())["x"].is_contiguous()


@pytest.mark.parametrize("workers", [0, 2])
def test_resumed_equals_uninterrupted(workers: int) -> None:
    loader = Loader(Numbers(), batch=3, seed=1, workers=workers)
    assert torch.equal(draws(loader, 8, 12), draws(loader, 0, 20)[8:])


def test_seeds_differ() -> None:
    first, second = (draws(Loader(Numbers(), batch=5, seed=seed), 0, 10) for seed in (0, 1))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("workers", [0, 2])
def test_global_generators_are_untouched(workers: int) -> None:
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index]
    draws(Loader(Numbers(), batch=2, seed=0, workers=workers), 0, 8)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index]
    assert before[:2] == after[:2] and torch.equal(before[2], after[2])


def test_a_killed_worker_is_an_error_that_says_what_to_do() -> None:
    loader = Loader(Failing(lambda: os.kill(os.getpid(), signal.SIGKILL)), batch=2, seed=0, workers=1)
    with pytest.raises(WorkerLost, match=r"signal 9.*train.workers=0"):
        next(loader.batches())


def test_a_hung_worker_is_an_error_that_says_what_to_do() -> None:
    loader = Loader(Failing(lambda: time.sleep(60)), batch=2, seed=0, workers=1, patience=0.2)
    with pytest.raises(WorkerLost, match=r"no batch for 0.2 s.*train.workers=0"):
        next(loader.batches())


def test_a_failing_item_shows_its_own_error() -> None:
    loader = Loader(Failing(lambda: [][0]), batch=2, seed=0, workers=2)
    with pytest.raises(WorkerLost, match="IndexError"):
        next(loader.batches())


class Odd(OSError):
    """Cannot be made anew from its args."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("odd")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unreachable("http://x/0.tar: cannot be read after 4 tries"), 74),
        (ShardChanged("x.tar: is cut short"), 74),
        (OSError(errno.EIO, "Input/output error", "/d/x.gif"), 74),
        (NoData("x.tar: not one of its files can be decoded"), 65),
        (Unreadable("x.gif", "is empty"), 65),
        (KeyError("x"), 70),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_error_has_its_exit_code_from_whatever_process(error: Exception, code: int, workers: int) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(Exception) as raised:
        next(Loader(Failing(fail), batch=2, seed=0, workers=workers).batches())
    assert errors.explain(raised.value)[0] == code
    if code != errors.INTERNAL:
        assert type(raised.value) is type(error) and str(raised.value) == str(error)


def test_an_error_that_cannot_be_sent_is_told_all_the_same() -> None:
    def fail() -> None:
        raise Odd(1, 2)

    with pytest.raises(WorkerLost, match="Odd: odd"):
        next(Loader(Failing(fail), batch=2, seed=0, workers=1).batches())


def test_workers_end_with_their_iterator_and_ignore_the_terminal_signals() -> None:
    batches = Loader(Numbers(), batch=1, seed=0, workers=1)._from_workers(0)
    next(batches)
    process = batches.gi_frame.f_locals["processes"][0]  # type: ignore[attr-defined]
    os.kill(process.pid, signal.SIGTERM)
    os.kill(process.pid, signal.SIGINT)
    assert [next(batches)["n"][0] for _ in range(20)] == list(range(1, 21))
    batches.close()  # type: ignore[attr-defined]
    assert not process.is_alive()


def test_nothing_to_draw_from() -> None:
    class Empty(Numbers):
        def __len__(self) -> int:
            return 0

    with pytest.raises(ValueError, match="empty"):
        Loader(Empty(), batch=1, seed=0)


def test_bytes_become_numbers_around_zero():
    """Mistake 6: data left in [0, 1], while the noise they become has a mean of zero."""
    x = to_tensors({"x": np.array([[0, 51, 102, 153, 204, 255]], np.uint8)})["x"]
    torch.testing.assert_close(x, torch.tensor([[-1.0, -0.6, -0.2, 0.2, 0.6, 1.0]]))
    assert x[0, 0] == -1 and x[0, -1] == 1
