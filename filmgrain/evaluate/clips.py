"""Clips measured as clips: `temporal`, how they move beside the data; `shapes`, what they show of what was asked for.

Neither needs an extractor. Beside them stand the measures of features, by an extractor of clips.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from . import temporal, truth
from .features import Extractor
from .intervals import Number
from .measures import Cloud, Config, Space


def check(config: Config, frames: int, extractor: Extractor | None = None) -> None:
    """Raises ValueError, before hours of sampling, for clips that are too short for what is to be measured."""
    if "temporal" in config.measures or config.boundaries:
        temporal.check(frames, config.boundaries)
    if extractor is not None and frames < extractor.frames:
        raise ValueError(f"{extractor.kind} takes clips of {extractor.frames} frames or more, and these have {frames}")


def spaces(config: Config, extractor: Extractor | None = None, samples: bool = False) -> dict[str, Space]:
    """What is asked of each clip, by name: for measures.clouds. samples: of these, and not of the data."""
    found: dict[str, Space] = {} if extractor is None else {"features": extractor}
    if "temporal" in config.measures:
        found["temporal"] = partial(temporal.rows, boundaries=config.boundaries)
    if samples and "shapes" in config.measures:
        found["shapes"] = truth.rows
    return found


def measure(
    samples: dict[str, Cloud], reference: dict[str, Cloud], config: Config, captions: Sequence[str] | None = None
) -> tuple[dict[str, Number], dict[str, Any]]:
    """The numbers that need no extractor, of the clouds of `spaces`; and what they are made of, to be written down.

    captions: that the samples were asked for by. Raises ValueError for one that is none of a moving shape.
    """
    numbers: dict[str, Number] = {}
    further: dict[str, Any] = {}
    if "temporal" in config.measures:
        tables = samples["temporal"].features, reference["temporal"].features
        joined = bool(config.boundaries)
        numbers |= temporal.measure(*tables, halves=config.halves, seed=config.seed, joined=joined)
        further["temporal"] = dict(zip(("samples", "data"), map(temporal.figures, tables), strict=True))
    if "shapes" in config.measures:
        numbers |= truth.measure(samples["shapes"].features, captions, halves=config.halves, seed=config.seed)
    return numbers, further
