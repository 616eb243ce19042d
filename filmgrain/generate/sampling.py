"""How samples are drawn: the sampler and its options, the grid of noise levels, and what keeps x0 in range."""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType, NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion import grids, terminal
from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.draw import Draw
from ..diffusion.schedules import Schedule
from ..guidance.classifier_free import Always, ClassifierFree
from ..guidance.dynamic_threshold import DynamicThreshold
from ..guidance.interval import Interval
from ..guidance.rescale import Rescale
from ..guidance.static_threshold import StaticThreshold
from ..model import Config as Diffusion
from ..model import DiffusionModel
from ..rooms import find, nearest
from ..samplers import Step
from .deep_cache import cached

THRESHOLDS: dict[str, Callable[[Denoiser], Denoiser]] = {
    "static": StaticThreshold,
    "dynamic": DynamicThreshold,
    "none": lambda denoiser: denoiser,
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """How samples are drawn."""

    sampler: str = "ddim"  # a file of samplers/, or the dotted path of one's own
    steps: int = 50  # intervals of the grid of noise levels
    grid: str = "uniform"  # of noise levels: "uniform", "karras", "logsnr", "trailing", "leading" or "table"
    rho: float = 7.0  # of the grid "karras"; larger takes shorter steps near the data
    levels: tuple[float, ...] = ()  # log-SNR of one's own grid, rising, instead of steps and grid; the data come after
    options: dict[str, float | int | str | bool | dict] = field(default_factory=dict)  # of the sampler: eta of ddim ...
    scale: float = 1.0  # of guidance towards the condition; 1 is none (the papers' w + 1)
    negative: str = ""  # caption that guidance leads away from; "" is away from saying nothing
    rescale: float = 0.0  # of what guidance adds to the range of x0, the part that is taken back; 0.7 is usual
    interval: tuple[float, ...] = ()  # log-SNR from and to which it guides; () is everywhere
    threshold: str = "static"  # of x0 before each update, where the codec is bounded: "static", "dynamic" or "none"
    cache: int = 1  # steps for which what lies below a U-Net's finest level is kept, instead of computed anew; 1: none
    fps: float = 8.0  # frames a second at which samples are shown

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps={self.steps} is not a number of sampling steps; use 1 or more")
        if self.cache < 1:
            raise ValueError(f"cache={self.cache} is not a number of steps; use 1 to compute all at each of them")
        if self.fps <= 0:
            raise ValueError(f"fps={self.fps} is not a frame rate; use a number above 0")
        for name, given, known in (("grid", self.grid, grids.GRIDS), ("threshold", self.threshold, THRESHOLDS)):
            if given not in known:
                raise ValueError(f'{name}="{given}" is unknown{nearest(given, list(known))}')
        if self.negative and self.scale == 1:
            raise ValueError(f'negative="{self.negative}" does nothing without guidance; set scale above 1, such as 3')
        if not 0 <= self.rescale <= 1:
            raise ValueError(f"rescale={self.rescale} is not in [0, 1]; 0 takes nothing back, 0.7 is usual")
        if self.interval and (len(self.interval) != 2 or self.interval[0] > self.interval[1]):
            raise ValueError(f"interval={list(self.interval)} is not from one log-SNR to a higher one, such as [-3, 5]")
        if self.rho <= 0:
            raise ValueError(f"rho={self.rho} of the karras grid is not positive; the paper uses 7")
        if self.levels:
            grids.of_list([*self.levels, float("inf")])
        module = find("samplers", self.sampler)
        if missing := [name for name in ("sample", "nfe") if not hasattr(module, name)]:
            raise ValueError(f'sampler="{self.sampler}" is no sampler: it has no {" and no ".join(missing)}')
        for name, value in self.options.items():
            _check(self.sampler, module, name, value)
        if self.options:  # their values are the sampler's to judge, which it does before its first step
            z, levels = torch.zeros(1, 1, 1, 1, 1), torch.tensor([-1.0, 1.0])
            noise = {"noise": lambda step, like: like} if _takes_noise(module) else {}
            next(module.sample(lambda z, logsnr, cond: z, z, levels, Cond(), **noise, **self.options))
        if self.cache > 1 and self.nfe is None:
            raise ValueError(f"cache={self.cache}: {self.sampler} goes by its error, which this hides; use cache=1")

    @property
    def intervals(self) -> int:
        return len(self.levels) or self.steps

    @property
    def nfe(self) -> int | None:
        """Calls of the denoiser that the sampler declares, a sample; None where it goes by its error."""
        module = find("samplers", self.sampler)
        known = inspect.signature(module.nfe).parameters
        return module.nfe(self.intervals, **{name: value for name, value in self.options.items() if name in known})

    def grid_of(self, schedule: Schedule, device: torch.device | str | None = None) -> Float[Tensor, " levels"]:
        """The levels that are walked. Raises ValueError for a grid that the schedule cannot make."""
        if self.levels:
            return grids.of_list([*self.levels, float("inf")], device)
        options = {"rho": self.rho} if self.grid == "karras" else {}
        return grids.levels(schedule, self.steps, self.grid, device, **options)


def walk(
    model: DiffusionModel, ids: range, shape: tuple[int, ...], config: Config, seed: int, cond: Cond | None = None
) -> Iterator[Step]:
    """Every step of the samples numbered `ids`. The noise of a sample depends on (seed, its number, step) alone.

    cond: such as model.condition({"label": labels}, Draw(seed, ids)); nothing is said of the samples by default.
    """
    z = Draw(seed, tuple(ids)).normal("start", torch.empty(len(ids), *shape, device=next(model.parameters()).device))
    return walk_from(model, z, config.grid_of(model.schedule), ids, config, seed, cond)


def walk_from(
    model: DiffusionModel,
    z: Float[Tensor, "b *chw"],
    levels: Float[Tensor, " levels"],
    ids: range,
    config: Config,
    seed: int,
    cond: Cond | None = None,
) -> Iterator[Step]:
    """The same from a z that is at the first of the levels already, which replace those of config.

    Levels stay on the host whatever the device, so that no sampler ever waits for it to know where it is.
    """
    denoiser = denoiser_of(model, config, len(z), conditional=cond is not None)
    return walk_by(denoiser, z, levels, cond or model.null(len(z)), config, Draw(seed, tuple(ids)))


def walk_by(
    denoiser: Denoiser,
    z: Float[Tensor, "b *chw"],
    levels: Float[Tensor, " levels"],
    cond: Cond,
    config: Config,
    draw: Draw,
) -> Iterator[Step]:
    """The same by any denoiser: of config, only the sampler and its options count."""
    module = find("samplers", config.sampler)
    noise = {"noise": draw.noise} if _takes_noise(module) else {}
    return module.sample(denoiser, z, levels, cond, **noise, **config.options)


def denoiser_of(model: DiffusionModel, config: Config, count: int, *, conditional: bool = False) -> Denoiser:
    """The model as config has it sampled: guided, and its x0 kept in range."""
    denoiser = cached(model, config.cache)
    if conditional:
        denoiser = guided(model, config, away(model, config, Draw(0, tuple(range(count)))))
    return THRESHOLDS[config.threshold](denoiser) if model.codec.bounded else denoiser


def guided(model: DiffusionModel, config: Config, reference: Cond) -> Denoiser:
    """The model under classifier-free guidance, as configured, away from its estimate under another condition."""
    denoiser = cached(model, config.cache)
    if config.scale == 1:
        return denoiser
    # In one call of twice the batch: as fast as two for 64 samples of unet2d, and 3 times as fast for one.
    guidance = ClassifierFree(denoiser, Always(denoiser, reference), config.scale, doubled=True)
    rescaled = Rescale(guidance, config.rescale) if config.rescale else guidance
    return Interval(rescaled, denoiser, *config.interval) if config.interval else rescaled


def away(model: DiffusionModel, config: Config, draw: Draw, kept: Mapping[str, Any] | None = None) -> Cond:
    """What guidance leads away from: a negative caption, or saying nothing.

    kept: of a batch, what is said there too, since guidance is not about it: the smaller copy that a stage enlarges
    (Saharia et al. 2022, Imagen, drop the text alone).
    """
    if config.negative and all(condition.key != "caption" for condition in model.conditions):
        raise ValueError(f'negative="{config.negative}": the model was trained without captions; leave it out')
    said = {"caption": [config.negative] * len(draw.n)} if config.negative else {}
    return model.condition({**said, **(kept or {})}, draw)


def warnings(diffusion: Diffusion, config: Config) -> list[str]:
    """What will make samples worse than the model is: a sentence each."""
    found = [terminal.warning(diffusion.schedule)]
    if config.threshold == "none":
        found.append(terminal.warning_unclipped(diffusion.schedule, diffusion.prediction))
    found += [_too_steep(diffusion, config), _too_late(config)]
    return [sentence for sentence in found if sentence]


def _too_steep(diffusion: Diffusion, config: Config) -> str | None:
    """Of a sampler whose steps may take sigma / alpha down by so much and no more, on a grid that takes larger ones."""
    steepest = getattr(find("samplers", config.sampler), "STEEPEST", math.inf)
    try:
        finite = config.grid_of(diffusion.schedule)[:-1].double()
    except ValueError:  # which is said when samples are asked for
        return None
    fall = math.exp(finite.diff().max().item() / 2) if len(finite) > 1 else 1.0
    if fall <= steepest:
        return None
    return (
        f"a step of this grid takes sigma / alpha down {fall:,.0f} times, and {config.sampler} goes wrong above "
        f"{steepest:.0f}; use grid=karras, more steps, or the sampler unipc"
    )


def _too_late(config: Config) -> str | None:
    """Of levels of one's own, the first of which holds signal that the noise that samples start from has not."""
    if not config.levels or 10 * config.levels[0] / math.log(10) <= terminal.SIGNAL_MAX:
        return None
    return (
        f"the first of the levels, log-SNR {config.levels[0]:g}, is where data still show, but sampling starts from "
        f"noise alone; begin at {terminal.SIGNAL_MAX * math.log(10) / 10:.1f} or below"
    )


def _takes_noise(module: ModuleType) -> bool:
    return "noise" in inspect.signature(module.sample).parameters


def _check(sampler: str, module: ModuleType, name: str, value: Any) -> None:
    """That the sampler has such an option, of such a type."""
    parameters = inspect.signature(module.sample).parameters.values()
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "noise"]
    if name not in known:
        raise ValueError(f'the sampler {sampler} has no option "{name}"; it has {", ".join(known) or "none"}')
    hint = get_type_hints(module.sample).get(name, type(value))
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    allowed = [get_origin(kind) or kind for kind in kinds]
    if type(value) not in (*allowed, *((int,) if float in allowed else ())):
        expected = " or ".join(kind.__name__ for kind in allowed if kind is not NoneType)
        raise ValueError(f"{name}={value!r} of the sampler {sampler} is {type(value).__name__}; expected {expected}")
