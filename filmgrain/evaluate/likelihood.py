"""How many bits a model needs for data it has not seen: bits per dimension, a channel of a pixel of a frame.

model = filmgrain.load("runs/clips")
held_out = filmgrain.datasets(filmgrain.recipe_of("runs/clips"))["held_out"]
print(filmgrain.likelihood(model, held_out))     # 3.412 bits per dimension (95 %: 3.35 to 3.47), 64 items, ...

The figures are bounds: the data have at most so many bits. They can be compared where the protocol is the same.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data import Dataset, NoData
from ..data.loader import Loader
from ..diffusion.cond import Cond
from ..diffusion.decoders import bits
from ..diffusion.draw import Draw, generator
from ..diffusion.flow_density import bytes_by_noise, bytes_by_uniform
from ..diffusion.likelihood import continuous_bound, discrete_bound
from ..diffusion.tables import Discrete
from ..generate.videos import NotFinite
from ..model import DiffusionModel

LOWEST = -20.0  # log-SNR from which noise counts as pure; what is left of the data there is in the bound
METHODS = ("bound", "ode")
DEQUANTISATIONS = {"noise": bytes_by_noise, "uniform": bytes_by_uniform}


@dataclass(frozen=True, kw_only=True)
class Config:
    """The protocol. Figures depend on it and on the data, and but for rounding on nothing else."""

    method: str = "bound"  # "bound", the variational one, of a chain where the schedule is a table; "ode", of the flow
    items: int = 64  # of the data, in the loader's order; all, if there are fewer
    seed: int = 0  # of that order and of all noise
    levels: int = 64  # of noise at which the bound asks the network about an item
    gamma: float = 0.0  # variance of a chain's steps: 0 fixed small, 1 fixed large
    high: float = 13.0  # log-SNR at which bytes are read off z, or the schedule's own highest; not of a chain
    steps: int = 64  # of Runge and Kutta along the flow, 4 evaluations each
    probes: int = 2  # of the flow's trace, each a gradient in an evaluation
    dequantisation: str = "noise"  # that the flow needs for bytes: "noise" of the level `high`, or "uniform"

    def __post_init__(self) -> None:
        for name, known in (("method", METHODS), ("dequantisation", tuple(DEQUANTISATIONS))):
            if getattr(self, name) not in known:
                raise ValueError(f'{name}="{getattr(self, name)}" of likelihood is unknown; use {" or ".join(known)}')
        for name in ("items", "levels", "steps", "probes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} of likelihood is not positive; use 1 or more")
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma={self.gamma} of likelihood is outside [0, 1]; 0 is fixed small, 1 fixed large")


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """What was measured, in bits per dimension."""

    bits: tuple[float, ...]  # of each item, in the loader's order
    errors: tuple[float, ...]  # standard error of each for want of levels or probes; NaN where it cannot be told
    parts: dict[str, float]  # means of the terms that make up the bound
    protocol: dict[str, Any]  # the Config, and what of the model and the data decides

    @property
    def mean(self) -> float:
        return float(np.mean(self.bits))

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the means of items drawn again from these (bootstrap, 10,000 times); NaN for a single item."""
        if len(self.bits) < 2:
            return math.nan, math.nan
        again = generator(self.protocol["seed"], "bootstrap", 0).integers(len(self.bits), size=(10_000, len(self.bits)))
        low, high = np.quantile(np.array(self.bits)[again].mean(1), (0.025, 0.975))
        return float(low), float(high)

    def row(self) -> dict[str, Any]:
        """All of it as JSON may hold it: null for NaN."""
        row = {"bits_per_dimension": self.mean, "interval": self.interval, "parts": self.parts, **self.protocol}
        return _without_nan(row | {"bits": self.bits, "errors": self.errors})

    def __str__(self) -> str:
        low, high = self.interval
        between = f" (95 %: {low:.3f} to {high:.3f})" if len(self.bits) > 1 else ""
        return f"{self.mean:.3f} bits per dimension{between}, {len(self.bits)} items, {self.protocol['kind']}"


def likelihood(
    model: DiffusionModel,
    data: Dataset,
    config: Config | None = None,
    *,
    batch: int = 8,
    progress: Callable[[int, int], None] | None = None,
) -> Likelihood:
    """Bits per dimension of 8-bit images or videos, an upper bound: variational, or of the probability flow.

    Of a conditional model they are bits given what the data say of each item, such as its label. batch: items at once;
    memory grows with it, the figures do not change. progress(done, total) counts evaluations of an item. Raises
    ValueError for a model of latents, and for items that the model is not made for; data.NoData where there are none;
    generate.videos.NotFinite for a network that gives NaN.
    """
    config = config or Config()
    if batch < 1:
        raise ValueError(f"batch={batch} is not a number of items; use 1 or more")
    check(model, data)
    count, was_training = min(config.items, len(data)), model.training
    measure = _Measure(model, config, lambda done: progress(done, count * measure.nfe) if progress else None)
    found: list[dict[str, Tensor]] = []
    batches = Loader(data, batch=min(batch, count), seed=config.seed).batches()
    model.eval()
    try:
        for first in range(0, count, batch):
            items = next(batches)
            found.append(measure({key: values[: count - first] for key, values in items.items()}))
    finally:
        model.train(was_training)
    values = {name: torch.cat([part[name] for part in found]).tolist() for name in found[0]}
    return Likelihood(
        bits=tuple(values.pop("bits")),
        errors=tuple(values.pop("errors")),
        parts={name: float(np.mean(part)) for name, part in values.items()},
        protocol=measure.protocol | {"items": count},
    )


def check(model: DiffusionModel, data: Dataset) -> None:
    """Refuses what cannot be measured."""
    if not len(data):
        raise NoData("nothing is held out of these data; give other data, or the split that was trained on")
    if not model.codec.bounded:
        raise ValueError("the codec's latents are not bytes, and have no bits per dimension; measure a model of pixels")
    shape = data.item(0, random.Random(0))["x"].shape
    if len(shape) != len(model.shape) or shape[0] != model.shape[0]:
        given, expected = ("x".join(map(str, each)) for each in (shape, model.shape))
        raise ValueError(f"the items are {given} (channels first), but the model is made for {expected}; give others")


class _Measure:
    """The bits of a batch of items under a model, by the config's method."""

    def __init__(self, model: DiffusionModel, config: Config, tell: Callable[[int], Any]):
        self.model, self.config, self.tell, self.done = model, config, tell, 0
        noise, data = model.schedule(torch.tensor([1.0, 0.0], dtype=torch.float64)).tolist()
        self.table = model.schedule.table if isinstance(model.schedule, Discrete) and config.method == "bound" else None
        whole = self.table is not None  # a chain is bounded as it is, from its first level to its last
        self.low, self.high = (noise, data) if whole else (max(noise, LOWEST), min(data, config.high))
        self.levels = config.levels if self.table is None else min(config.levels, len(self.table) - 1)
        self.nfe = 4 * config.steps if config.method == "ode" else self.levels + whole

    @property
    def protocol(self) -> dict[str, Any]:
        """In words, and all that the method goes by."""
        config, own = self.config, {"low": self.low, "high": self.high, "nfe": self.nfe}
        if config.method == "ode":
            kind = f"probability flow, {config.steps} steps, {config.probes} probes, {config.dequantisation} "
            kind += f"dequantisation at log-SNR {self.high:g}"
            own |= {"steps": config.steps, "probes": config.probes, "dequantisation": config.dequantisation}
        elif self.table is not None:
            kind = f"variational bound of the chain of {len(self.table)} steps, {self.levels} of them an item"
            own |= {"levels": self.levels, "gamma": config.gamma, "chain": len(self.table)}
        else:
            kind = f"variational bound, continuous time, {self.levels} levels an item, to log-SNR {self.high:g}"
            own |= {"levels": self.levels}
        given = [condition.key for condition in self.model.conditions]
        return {"kind": kind, "method": config.method, "seed": config.seed, **own, "conditions": given}

    def __call__(self, items: dict[str, Any]) -> dict[str, Tensor]:
        """The bits of each item, their standard errors, and the terms that they are the sum of."""
        x, draw = items["x"], Draw(self.config.seed, tuple(items["n"].tolist()))
        with torch.no_grad():
            x0 = self.model.codec.encode(x.to(next(self.model.parameters()).device))
            cond = self.model.condition(items, draw)
        terms = self._flow(x0, cond, draw) if self.config.method == "ode" else self._bound(x0, cond, draw)
        if not terms["bits"].isfinite().all():
            raise NotFinite("the network gave NaN or infinity; look at the run's curve, or try weights=raw")
        return {name: bits(nats, x[0].numel()) for name, nats in terms.items()}

    def _bound(self, x0: Tensor, cond: Cond, draw: Draw) -> dict[str, Tensor]:
        def clipped(z: Tensor, logsnr: Tensor, cond: Cond) -> Tensor:  # bytes lie there: it can only be nearer
            self._count(len(z))
            return self.model(z, logsnr, cond).clamp(-1, 1)

        if self.table is None:
            bound = continuous_bound(clipped, x0, cond, draw=draw, low=self.low, high=self.high, levels=self.levels)
        else:
            bound = discrete_bound(
                clipped, x0, cond, draw=draw, table=self.table, gamma=self.config.gamma, levels=self.levels
            )
        terms = {"prior": bound.prior, "diffusion": bound.diffusion, "reconstruction": bound.reconstruction}
        return {"bits": bound.nats, "errors": bound.error, **terms}

    def _flow(self, x0: Tensor, cond: Cond, draw: Draw) -> dict[str, Tensor]:
        def smooth(z: Tensor, logsnr: Tensor, cond: Cond) -> Tensor:  # unclipped: a clip has corners
            self._count(len(z))
            return self.model(z, logsnr, cond)

        density = DEQUANTISATIONS[self.config.dequantisation]
        ends = {"high": self.high, "low": self.low}
        found = density(smooth, x0, cond, draw=draw, steps=self.config.steps, probes=self.config.probes, **ends)
        return {"bits": -found.value, "errors": found.error}

    def _count(self, items: int) -> None:
        self.done += items
        self.tell(self.done)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
