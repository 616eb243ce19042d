"""The order of items in shards: a permutation each epoch, few shards at a time, shards of its own for each process."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filmgrain.data.shard_order import Order


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any), st.integers(1, 9), st.integers(0, 3))
def test_every_epoch_is_a_permutation(lengths: list[int], lanes: int, epoch: int) -> None:
    order = Order(lengths, lanes)
    draws = range(epoch * order.total, (epoch + 1) * order.total)
    assert sorted(order.index_of(n, 5) for n in draws) == list(range(order.total))
    assert [order.index_of(n, 5) for n in draws] == [Order(lengths, lanes).index_of(n, 5) for n in draws]


def test_epochs_and_seeds_differ() -> None:
    order = Order([50] * 8, 4)
    first, second, other = (
        [order.index_of(n, seed) for n in range(a, a + 400)] for a, seed in ((0, 1), (400, 1), (0, 2))
    )
    assert first != second and first != other and first != sorted(first)


@pytest.mark.parametrize("lanes", [1, 4, 8])
def test_a_stretch_of_draws_keeps_to_few_shards(lanes: int) -> None:
    order = Order([100] * 40, lanes)
    shards = [order.place(order.index_of(n, 0))[0] for n in range(4000)]
    assert len(set(shards[: 10 * lanes])) <= 2 * lanes  # each lane may be at the end of one
    opened = sum(shard not in shards[max(0, n - 10 * lanes) : n] for n, shard in enumerate(shards))
    assert opened <= 40 + 3 * lanes  # a shard is read once, or twice where two lanes meet
    assert len(set(shards)) == 40


@pytest.mark.parametrize("processes", [2, 4, 8])
def test_processes_have_shards_of_their_own(processes: int) -> None:
    order, lanes = Order([50] * 64, 8), 8
    read = [{order.place(order.index_of(n, 0))[0] for n in range(i, order.total, processes)} for i in range(processes)]
    assert sum(map(len, read)) <= 64 + lanes and set().union(*read) == set(range(64))


def test_places() -> None:
    order = Order([2, 0, 3], 2)
    assert [order.place(index) for index in range(5)] == [(0, 0), (0, 1), (2, 0), (2, 1), (2, 2)]
