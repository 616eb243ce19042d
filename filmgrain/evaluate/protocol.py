"""An evaluation as it is written and read: numbers, and all that they depend on. Unlike ones are not compared.

protocol: how was it measured? Numbers that differ in any of it have nothing to say to each other. sampling: how were
the samples drawn? That may be what one compares, and must then be named. made: of what, and by what, for the reader.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .intervals import Number


class Incomparable(ValueError):
    """Two evaluations of different protocols: one line that names what differs."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Numbers by name, such as fd[small28-fashion-1a2b]."""

    protocol: dict[str, Any]
    sampling: dict[str, Any]
    made: dict[str, Any]
    numbers: dict[str, Number]
    further: dict[str, Any] = field(default_factory=dict)  # likelihood, memorisation; each with its own protocol

    def dumps(self) -> str:
        numbers = {name: _number(number) for name, number in self.numbers.items()}
        parts = {"made": self.made, "protocol": self.protocol, "sampling": self.sampling, "numbers": numbers}
        return json.dumps(_finite(parts | self.further), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def load(path: Path) -> Evaluation:
    """What `dumps` wrote. Raises ValueError for another file."""
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))
        numbers = {
            str(name): Number(float(row["value"]), tuple(map(float, row["halves"])))
            for name, row in parts.pop("numbers").items()
        }
        known = {name: dict(parts.pop(name)) for name in ("protocol", "sampling", "made")}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is no evaluation ({error}); give a file that filmgrain evaluate wrote") from None
    return Evaluation(**known, numbers=numbers, further=parts)


def compare(first: Evaluation, second: Evaluation, vary: Sequence[str] = ()) -> dict[str, Number]:
    """second - first, of every number that both have. Raises Incomparable.

    vary: what of the sampling may differ, since that is what is compared; "all" for whatever there is.

    The same halves stand against each other, so that what the reference does to both cancels.
    """
    for key in vary:
        if key in first.protocol:
            raise Incomparable(f"numbers that differ in {key} cannot be compared: it is of the protocol")
        if key not in {"all", *first.sampling, *second.sampling}:
            known = ", ".join(dict.fromkeys(["all", *first.sampling, *second.sampling]))
            raise Incomparable(f'"{key}" says nothing of how samples are drawn; known: {known}')
    if found := differences(first.protocol, second.protocol):
        raise Incomparable(
            f"the evaluations are of different protocols: {'; '.join(found.values())}; measure one again"
        )
    found = differences(first.sampling, second.sampling)
    if refused := [key for key in found if not {key, "all"} & set(vary)]:
        shown, flags = "; ".join(found[key] for key in refused), " ".join(f"--vary {key}" for key in refused)
        raise Incomparable(f"the samples are drawn differently: {shown}; if that is what you compare, add {flags}")
    common = [name for name in first.numbers if name in second.numbers]
    if not common:
        raise Incomparable(f"they have no number in common: {', '.join(first.numbers)}; {', '.join(second.numbers)}")
    return {name: second.numbers[name] - first.numbers[name] for name in common}


def differences(first: dict[str, Any], second: dict[str, Any]) -> dict[str, str]:
    """What differs: `samples is 5000 and 10000`."""
    keys = dict.fromkeys([*first, *second])
    return {
        key: f"{key} is {_shown(first.get(key))} and {_shown(second.get(key))}"
        for key in keys
        if first.get(key) != second.get(key)
    }


def _shown(value: Any) -> str:
    text = "not said" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _number(number: Number) -> dict[str, Any]:
    low, high = number.interval
    row = {"value": number.value, "low": low, "high": high, "error": number.error}
    return row | {"unbiased": number.unbiased, "halves": number.halves}


def _finite(value: Any) -> Any:
    """As JSON may hold it: null for NaN and infinity."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
