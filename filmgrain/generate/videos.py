"""New videos (or images: whatever the model's data are) from noise alone."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion import grids
from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.draw import Draw
from ..files.encode import write_gif, write_mp4
from ..guidance.static_threshold import StaticThreshold
from ..model import DiffusionModel
from ..rooms import find
from ..samplers import Step


@dataclass(frozen=True, kw_only=True)
class Config:
    """How samples are drawn."""

    sampler: str = "ddim"  # a file of samplers/, or the dotted path of one's own
    steps: int = 50  # intervals of the grid of noise levels
    options: dict[str, float] = field(default_factory=dict)  # of the sampler: eta of ddim, gamma of ancestral
    fps: float = 8.0  # frames a second at which samples are shown
    clip: bool = True  # keep x0 in [-1, 1] before each update, where the codec is bounded

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps={self.steps} is not a number of sampling steps; use 1 or more")
        if self.fps <= 0:
            raise ValueError(f"fps={self.fps} is not a frame rate; use a number above 0")
        module = find("samplers", self.sampler)
        if missing := [name for name in ("sample", "nfe") if not hasattr(module, name)]:
            raise ValueError(f'sampler="{self.sampler}" is no sampler: it has no {" and no ".join(missing)}')
        parameters = inspect.signature(module.sample).parameters
        known = [p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY and p.name != "noise"]
        for name in self.options:
            if name not in known:
                raise ValueError(
                    f'the sampler {self.sampler} has no option "{name}"; it has {", ".join(known) or "none"}'
                )
        if self.options:  # their values are the sampler's to judge, which it does before its first step
            noise = {"noise": lambda step, like: like} if "noise" in parameters else {}
            z, levels = torch.zeros(1, 1, 1, 1, 1), torch.tensor([-1.0, 1.0])
            next(module.sample(lambda z, logsnr, cond: z, z, levels, Cond(), **noise, **self.options))


def walk(
    model: DiffusionModel, ids: range, shape: tuple[int, ...], config: Config, seed: int, cond: Cond | None = None
) -> Iterator[Step]:
    """Every step of the samples numbered `ids`. The noise of a sample depends on (seed, its number, step) alone."""
    device = next(model.parameters()).device
    draw = Draw(seed, tuple(ids))
    z = draw.normal("start", torch.empty(len(ids), *shape, device=device))
    clip = config.clip and model.codec.bounded
    denoiser: Denoiser = StaticThreshold(model) if clip else model
    levels = grids.levels(model.schedule, config.steps, device=device)
    sample = find("samplers", config.sampler).sample
    noise = (
        {"noise": draw.noise} if "noise" in inspect.signature(sample).parameters else {}
    )  # deterministic ones take none
    return sample(denoiser, z, levels, cond or Cond(), **noise, **config.options)


@torch.no_grad()
def generate(
    model: DiffusionModel,
    count: int,
    *,
    seed: int = 0,
    config: Config | None = None,
    shape: tuple[int, ...] | None = None,
    batch: int = 8,
    progress: Callable[[int, int], None] | None = None,
) -> Float[Tensor, "count *cfhw"]:
    """`count` samples in [-1, 1], on the CPU: (count, c, f, h, w), or without f for a model of images.

    shape: of one sample, the model's own by default. batch: how many at once; memory grows with it, the samples do
    not change. progress(done, total) counts evaluated steps of samples.
    """
    if count < 1 or batch < 1:
        raise ValueError(f"count={count}, batch={batch}: both are numbers of samples; use 1 or more")
    config, shape = config or Config(), shape or model.shape
    was_training = model.training
    model.eval()
    parts = []
    try:
        for first in range(0, count, batch):
            ids = range(first, min(first + batch, count))
            for i, step in enumerate(walk(model, ids, shape, config, seed), start=1):
                z = step.z
                if progress is not None:
                    progress(first * config.steps + i * len(ids), count * config.steps)
            parts.append(model.codec.decode(z).clamp(-1, 1).cpu())
    finally:
        model.train(was_training)
    return torch.cat(parts)


def to_uint8(x: Float[Tensor, "*b c f h w"]) -> Tensor:
    """x in [-1, 1] as bytes with channels last, (..., f, h, w, c): what the files room writes."""
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).movedim(-4, -1)


def save_video(
    x: Float[Tensor, "c f h w"], path: str | Path, *, fps: float = 8.0, recipe: dict[str, Any] | None = None
) -> None:
    """One video in [-1, 1] as PATH.gif or PATH.mp4, by the name's ending, with the recipe of its making inside."""
    writers = {".gif": write_gif, ".mp4": write_mp4}
    path = Path(path)
    if path.suffix.lower() not in writers:
        raise ValueError(f'{path} ends in "{path.suffix}"; a video is saved as .gif or .mp4')
    writers[path.suffix.lower()](path, to_uint8(x).numpy(), fps, recipe)
