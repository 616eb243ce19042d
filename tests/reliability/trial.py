"""Trial: one try at breaking a promise, and what was found wrong, if anything."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple


class Trial(NamedTuple):
    kind: str  # by which trials are counted
    what: str  # was done to the run
    fault: str  # empty where the promise was kept


# The trials of a promise, in an empty folder of their own; few of them, and quick ones, where `quick`.
Trials = Callable[[Path, bool], Iterator[Trial]]


def first(*faults: str) -> str:
    """The first fault there is."""
    return next(filter(None, faults), "")


def unless(holds: object, fault: str) -> str:
    return "" if holds else fault
