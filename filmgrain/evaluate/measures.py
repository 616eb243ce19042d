"""Samples measured against a reference: clouds of features of both, and every measure with its interval."""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from .distances import TooFew, frechet, kid
from .features import NOT_FVD, Extractor
from .intervals import Measure, Number, measured
from .manifold import BALLS, manifold

MEASURES: dict[str, Measure] = {
    "fd": lambda samples, reference: {"fd": frechet(samples, reference)},
    "kid": lambda samples, reference: {"kid": kid(samples, reference)},
    "manifold": manifold,
}

OF_CLIPS = ("temporal", "shapes")  # measures that are of clips themselves, see clips.py
Space = Callable[[UInt8[Tensor, "b 3 *fhw"]], Float[Tensor, "b d"]]
RANGES = {"fd": (0, math.inf), "precision": (0, 1), "recall": (0, 1), "density": (0, math.inf), "coverage": (0, 1)}


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is measured, and how well."""

    measures: tuple[str, ...] = tuple(MEASURES)  # and some of OF_CLIPS
    halves: int = 40  # random halves that make the intervals; 0: no intervals
    seed: int = 0  # of the halves, of the samples' noise, and of which items make the reference
    boundaries: tuple[int, ...] = ()  # frames at which pieces of a clip were joined

    def __post_init__(self) -> None:
        known = (*MEASURES, *OF_CLIPS)
        if not self.measures or (unknown := set(self.measures) - set(known)):
            given = f'"{sorted(unknown)[0]}" is not one of the measures' if self.measures else "there is no measure"
            raise ValueError(f"{given}; use some of {', '.join(known)}")
        if self.halves < 0 or self.halves == 1:
            raise ValueError(f"halves={self.halves} have no spread; use 0 for no intervals, or 20 and more")

    @property
    def of_features(self) -> tuple[str, ...]:
        return tuple(name for name in self.measures if name in MEASURES)

    def check(self, samples: int, reference: int, features: int) -> None:
        """Raises TooFew, before hours of sampling, where there are not enough of either for what is to be measured."""
        least = {"fd": features, "kid": 1, "manifold": BALLS}
        for measure in self.of_features:
            needed = (least[measure] + 1) * (2 if self.halves else 1)
            for name, count in {"samples": samples, "pictures of the reference": reference}.items():
                if count < needed:
                    why = f"{features} features" * (measure == "fd") or f"the measure {measure}"
                    halves = ", of which halves are measured" * bool(self.halves)
                    better = f", better {10 * features}" * (measure == "fd")
                    raise TooFew(
                        f"{count} {name} are too few for {measure}: {why}{halves} take {needed} or more{better}; "
                        f"use more, or leave {measure} out of --measures"
                    )


@dataclass(frozen=True)
class Cloud:
    """Pictures, or clips, by their features."""

    features: Float[Tensor, "n d"]
    sha256: str  # of the pictures themselves, in whatever order

    def __len__(self) -> int:
        return len(self.features)


def cloud(
    extractor: Space,
    pictures: Iterable[UInt8[Tensor, "b 3 *fhw"]],
    count: int,
    progress: Callable[[int, int], None] | None = None,
) -> Cloud:
    """The features of `count` pictures, which come some at a time."""
    return clouds({"": extractor}, pictures, count, progress)[""]


def clouds(
    spaces: Mapping[str, Space],
    pictures: Iterable[UInt8[Tensor, "b 3 *fhw"]],
    count: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Cloud]:
    """The same in several spaces, by name, with the pictures made only once."""
    features: dict[str, list[Tensor]] = {name: [] for name in spaces}
    hashes: list[bytes] = []
    for part in pictures:
        for name, space in spaces.items():
            features[name].append(space(part))
        hashes += [hashlib.sha256(picture.contiguous().numpy().tobytes()).digest() for picture in part]
        if progress is not None:
            progress(len(hashes), count)
    sha256 = hashlib.sha256(b"".join(sorted(hashes))).hexdigest()
    return {name: Cloud(torch.cat(parts), sha256) for name, parts in features.items()}


def protocol(
    extractor: Extractor | None, samples: Mapping[str, Cloud], reference: Mapping[str, Cloud], config: Config
) -> dict[str, Any]:
    """What must be the same for two numbers to be compared; what the reference is called is the caller's to add."""
    data = next(iter(reference.values()), None)
    found = {
        "extractor": extractor.name if extractor else "none",
        "extractor_sha256": extractor.sha256 if extractor else "",
        "features": extractor.size if extractor else 0,
        "resize": extractor.resize if extractor else "as they are",
        "comparable": extractor.comparable if extractor else NOT_FVD,
        "samples": len(next(iter(samples.values()))),
        "reference": len(data) if data else 0,
        "reference_sha256": data.sha256 if data else "",
        "halves": config.halves,
        "seed": config.seed,
    }
    return found | ({"boundaries": list(config.boundaries)} if config.boundaries else {})


def named(numbers: dict[str, Number], extractor: Extractor) -> dict[str, Number]:
    """By their full names: fd[small28-fashion-1a2b]; fid[...] of the one extractor that makes it; fvd[...] of clips."""
    names = {"fd": "fid" if extractor.fid else "fvd" if extractor.clips else "fd"}
    return {f"{names.get(name, name)}[{extractor.name}]": number for name, number in numbers.items()}


def measure(
    samples: Cloud, reference: Cloud, config: Config, progress: Callable[[int, int], None] | None = None
) -> dict[str, Number]:
    """Every measure by its name: fd, kid, precision, recall, density, coverage. Raises TooFew."""
    config.check(len(samples), len(reference), samples.features.shape[1])
    numbers: dict[str, Number] = {}
    total = config.halves * len(config.of_features)
    for i, name in enumerate(config.of_features):

        def tell(done: int, _: int, before: int = i * config.halves) -> None:
            if progress is not None:
                progress(before + done, total)

        clouds = samples.features, reference.features
        numbers |= measured(MEASURES[name], *clouds, halves=config.halves, seed=config.seed, progress=tell)
    return {name: Number(number.value, number.halves, *RANGES.get(name, ())) for name, number in numbers.items()}
