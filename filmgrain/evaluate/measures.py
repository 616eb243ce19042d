"""Samples measured against a reference: clouds of features of both, and every measure with its interval."""

import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from .distances import TooFew, frechet, kid
from .features import Extractor
from .intervals import Measure, Number, measured
from .manifold import BALLS, manifold

MEASURES: dict[str, Measure] = {
    "fd": lambda samples, reference: {"fd": frechet(samples, reference)},
    "kid": lambda samples, reference: {"kid": kid(samples, reference)},
    "manifold": manifold,
}

RANGES = {"fd": (0, math.inf), "precision": (0, 1), "recall": (0, 1), "density": (0, math.inf), "coverage": (0, 1)}
NOT_FID = "not comparable with FID"


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is measured, and how well."""

    measures: tuple[str, ...] = tuple(MEASURES)
    halves: int = 40  # random halves that make the intervals; 0: no intervals
    seed: int = 0  # of the halves, of the samples' noise, and of which items make the reference

    def __post_init__(self) -> None:
        if not self.measures or (unknown := set(self.measures) - set(MEASURES)):
            given = f'"{sorted(unknown)[0]}" is not one of the measures' if self.measures else "there is no measure"
            raise ValueError(f"{given}; use some of {', '.join(MEASURES)}")
        if self.halves < 0 or self.halves == 1:
            raise ValueError(f"halves={self.halves} have no spread; use 0 for no intervals, or 20 and more")

    def check(self, samples: int, reference: int, features: int) -> None:
        """Raises TooFew, before hours of sampling, where there are not enough of either for what is to be measured."""
        least = {"fd": features, "kid": 1, "manifold": BALLS}
        for measure in self.measures:
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
    """Pictures by their features."""

    features: Float[Tensor, "n d"]
    sha256: str  # of the pictures themselves, in whatever order

    def __len__(self) -> int:
        return len(self.features)


def cloud(
    extractor: Extractor,
    pictures: Iterable[UInt8[Tensor, "b 3 h w"]],
    count: int,
    progress: Callable[[int, int], None] | None = None,
) -> Cloud:
    """The features of `count` pictures, which come some at a time."""
    features: list[Tensor] = []
    hashes: list[bytes] = []
    for part in pictures:
        features.append(extractor(part))
        hashes += [hashlib.sha256(picture.contiguous().numpy().tobytes()).digest() for picture in part]
        if progress is not None:
            progress(len(hashes), count)
    return Cloud(torch.cat(features), hashlib.sha256(b"".join(sorted(hashes))).hexdigest())


def protocol(extractor: Extractor, samples: Cloud, reference: Cloud, config: Config) -> dict[str, Any]:
    """What must be the same for two numbers to be compared; what the reference is called is the caller's to add."""
    return {
        "extractor": extractor.name,
        "extractor_sha256": extractor.sha256,
        "features": extractor.size,
        "resize": extractor.resize,
        "comparable": "FID" if extractor.fid else NOT_FID,
        "samples": len(samples),
        "reference": len(reference),
        "reference_sha256": reference.sha256,
        "halves": config.halves,
        "seed": config.seed,
    }


def named(numbers: dict[str, Number], extractor: Extractor) -> dict[str, Number]:
    """By their full names: fd[small28-fashion-1a2b], and fid[...] for the one extractor that makes it."""
    names = {"fd": "fid"} if extractor.fid else {}
    return {f"{names.get(name, name)}[{extractor.name}]": number for name, number in numbers.items()}


def measure(
    samples: Cloud, reference: Cloud, config: Config, progress: Callable[[int, int], None] | None = None
) -> dict[str, Number]:
    """Every measure by its name: fd, kid, precision, recall, density, coverage. Raises TooFew."""
    config.check(len(samples), len(reference), samples.features.shape[1])
    numbers: dict[str, Number] = {}
    total = config.halves * len(config.measures)
    for i, name in enumerate(config.measures):

        def tell(done: int, _: int, before: int = i * config.halves) -> None:
            if progress is not None:
                progress(before + done, total)

        clouds = samples.features, reference.features
        numbers |= measured(MEASURES[name], *clouds, halves=config.halves, seed=config.seed, progress=tell)
    return {name: Number(number.value, number.halves, *RANGES.get(name, ())) for name, number in numbers.items()}
