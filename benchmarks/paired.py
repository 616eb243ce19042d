"""Times taken in turn, A B A B, and what they say: medians, and the spread of ratios within pairs.

The machine's speed drifts by a fifth from minute to minute, so that two times are compared within their pair alone.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Rounds = dict[str, list[float]]  # seconds of each side, by repetition


@dataclass(frozen=True)
class Ratio:
    """Of two sides: the median of the pairs' ratios, and the quartiles around it."""

    median: float
    low: float
    high: float


def in_turn(sides: Mapping[str, Callable[[], float]], repeats: int, warm: int = 1) -> Rounds:
    """Each side once, then each side once more ... ; the first rounds, which warm up, are not kept."""
    rounds: Rounds = {side: [] for side in sides}
    for number in range(warm + repeats):
        for side, run in sides.items():
            seconds = run()
            if number >= warm:
                rounds[side].append(seconds)
    return rounds


def ratio(over: Sequence[float], under: Sequence[float]) -> Ratio:
    """over / under, pair by pair."""
    ratios = [a / b for a, b in zip(over, under, strict=True)]
    if len(ratios) == 1:
        return Ratio(*ratios * 3)
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(median, low, high)


def cautious(value: float, *, at_least: bool, digits: int = 2) -> str:
    """The value rounded down if more is better, and up if less is: no figure looks better than it is."""
    scale = 10**digits
    rounded = (math.floor if at_least else math.ceil)(value * scale) / scale
    return f"{rounded:.{digits}f}"
