"""How far samples are from the true distribution, for a number of network evaluations (NFE).

The distance is the sliced Wasserstein distance of order 1, in the data's own unit, of samples from fresh truths; the
floor is that of as many true samples. (Order 2 would be all noise: a few samples more in one of two blobs that
are d apart count as the root of their share times d, not as their share times d.)
"""

import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion import grids
from ..diffusion.schedules import Cosine, Schedule
from ..diffusion.tables import LinearBeta
from ..rooms import find, names
from .estimate import Estimate, estimate
from .truths import blobs
from .walk import Options, Seeds, label, walk

NFES = (4, 8, 16, 32, 64, 128)
COUNT = 2048  # samples of each seed
FINER = 16  # times as many truths, of which each run of 16 in order is one quantile: less noise than in as many
SLICES = 16  # directions
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4)  # of samplers that choose their own steps
WIDE = {"r_max": math.exp(10), "r_min": math.exp(-10)}  # log-SNR -20 to 20, all of the schedule
GRIDS: dict[str, tuple[Schedule, str, dict[str, Any]]] = {
    "uniform": (Cosine(), "uniform", {}),
    "karras": (Cosine(), "karras", {}),
    "logsnr": (Cosine(), "logsnr", {}),
    "karras, -20 to 20": (Cosine(), "karras", WIDE),
    "logsnr, -20 to 20": (Cosine(), "logsnr", WIDE),
    "trailing": (LinearBeta(), "trailing", {}),
    "leading": (LinearBeta(), "leading", {}),
}
ON_GRIDS = ("ddim", "heun", "dpmpp_2m", "ancestral")
NOISY: tuple[tuple[str, Options], ...] = (
    *(("ddim", {"eta": eta}) for eta in (0.0, 0.5, 1.0)),
    *(("ancestral", {"gamma": gamma}) for gamma in (0.0, 0.3, 1.0)),
    *(("dpmpp_2m_sde", {"eta": eta}) for eta in (0.0, 0.5, 1.0)),
    *(("edm", {"s_churn": churn}) for churn in (0.0, 10.0, 40.0)),
)


@dataclass(frozen=True)
class Row:
    study: str  # "samplers", each as it comes; "grids"; "noise", by options; or "floor"
    sampler: str
    options: Options
    grid: str
    steps: int
    nfe: int  # calls made
    distance: Estimate

    @property
    def name(self) -> str:
        return label(self.sampler, self.options)


@dataclass(frozen=True)
class Walk:
    """One walk to be measured."""

    study: str
    sampler: str
    options: Options
    grid: str
    steps: int


def run(
    *,
    seeds: int = 10,
    count: int = COUNT,
    nfes: tuple[int, ...] = NFES,
    progress: Callable[[int, int], None] | None = None,
) -> list[Row]:
    data, draws = blobs(), Seeds(seeds, count)
    truth, other = quantiles(drawn(seeds, 0, FINER * count)), sliced(drawn(seeds, 1, count))
    rows = [Row("floor", "truth", {}, "", 0, 0, estimate(distance(other, truth)))]
    start = draws.normal("start", torch.empty(seeds * count, 2))  # float32, as users sample
    walks = list(planned(nfes))
    for done, what in enumerate(walks, start=1):
        schedule, grid, ends = GRIDS[what.grid]
        levels = grids.levels(schedule, what.steps, grid, **ends)
        z, nfe = walk(what.sampler, data, start, levels, draws.noise, what.options)
        apart = estimate(distance(sliced(z.double().reshape(seeds, count, 2)), truth))
        rows.append(Row(what.study, what.sampler, what.options, what.grid, what.steps, nfe, apart))
        if progress is not None:
            progress(done, len(walks))
    return rows


def planned(nfes: tuple[int, ...]) -> Iterator[Walk]:
    for sampler in names("samplers"):
        for grid in ("uniform", "karras"):  # of a grid in two steps, uniform begins its last half way
            if grid == "karras" or find("samplers", sampler).nfe(2) is not None:
                yield from _walks("samplers", sampler, {}, grid, nfes)
    for sampler in ON_GRIDS:
        for grid in GRIDS:
            yield from _walks("grids", sampler, {}, grid, nfes[:-1])
    for sampler, options in NOISY:
        yield from _walks("noise", sampler, options, "karras" if sampler == "edm" else "uniform", nfes)


def _walks(study: str, sampler: str, options: Options, grid: str, nfes: tuple[int, ...]) -> Iterator[Walk]:
    """A walk for each number of evaluations that the sampler can keep to; each number of steps once."""
    if find("samplers", sampler).nfe(2) is None:
        for tolerance in TOLERANCES:  # two steps: one adaptive from end to end, and the one into the data
            yield Walk(study, sampler, {**options, "rtol": tolerance, "atol": tolerance}, grid, 2)
        return
    for steps in sorted({steps_for(sampler, options, nfe) for nfe in nfes} - {0}):
        yield Walk(study, sampler, options, grid, steps)


def steps_for(sampler: str, options: Options, nfe: int) -> int:
    """The most steps that a sampler can take with so many evaluations; 0 if it cannot take two."""
    declared = find("samplers", sampler).nfe
    known = {name: value for name, value in options.items() if name in inspect.signature(declared).parameters}
    return max((steps for steps in range(2, nfe + 1) if declared(steps, **known) <= nfe), default=0)


def drawn(seeds: int, stream: int, count: int) -> Float[Tensor, "seeds b 2"]:
    """True samples; those of another stream are others."""
    rngs = (torch.Generator().manual_seed(2 * seed + stream) for seed in range(seeds))
    return torch.stack([blobs().draw(count, rng) for rng in rngs])


def sliced(x: Float[Tensor, "seeds b 2"]) -> Float[Tensor, "seeds slices b"]:
    """x along directions that are spread evenly over the half circle, in rising order."""
    angle = math.pi * torch.arange(SLICES, dtype=x.dtype) / SLICES
    return (torch.stack([angle.cos(), angle.sin()], 1) @ x.mT).sort().values


def quantiles(x: Float[Tensor, "seeds many 2"]) -> Float[Tensor, "seeds slices b"]:
    return sliced(x).unflatten(-1, (-1, FINER)).mean(-1)


def distance(x: Float[Tensor, "seeds slices b"], y: Float[Tensor, "seeds slices b"]) -> Float[Tensor, " seeds"]:
    """The sliced Wasserstein distance of order 1 between what was sliced."""
    return (x - y).abs().mean((1, 2))
