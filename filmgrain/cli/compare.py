"""Two evaluations side by side, and what lies between them: half of `filmgrain evaluate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .console import say
from .errors import usage

if TYPE_CHECKING:
    from ..evaluate.intervals import Number


def compare(first: Path, second: Path, vary: Sequence[str]) -> "dict[str, Number]":
    """Prints each number of both and their difference, and returns the differences."""
    from ..evaluate import protocol
    from ..evaluate.protocol import differences

    with usage():
        one, other = protocol.load(first), protocol.load(second)
        found = protocol.compare(one, other, vary)
    how = one.protocol
    say(f"{how['samples']} samples against {how['reference']} of {how['split']}; {how['comparable']}")
    say(*differences({**one.made, **one.sampling}, {**other.made, **other.sampling}).values())
    for name, difference in found.items():
        values = f"{one.numbers[name].value:.4g} and {other.numbers[name].value:.4g}"
        say(f"{name}: {values}, {difference.value:+.4g}{between(difference)}{_verdict(difference)}")
    return found


def between(number: "Number") -> str:
    low, high = number.interval
    return f" (95 %: {low:.4g} to {high:.4g})" if number.halves else ""


def _verdict(difference: "Number") -> str:
    low, high = difference.interval
    return ": no difference is shown" if low <= 0 <= high else ""
