"""A sampler walked to its end, with its calls counted."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.draw import Draw
from ..rooms import find
from ..samplers import Noise, last

Options = Mapping[str, Any]  # of a sampler; langevin and repaint have options for their predictor among theirs


@dataclass
class Counted:
    """A denoiser that knows how often it was called."""

    denoiser: Denoiser
    calls: int = 0

    def __call__(self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b *chw"]:
        self.calls += 1
        return self.denoiser(z, logsnr, cond)


def walk(
    sampler: str,
    denoiser: Denoiser,
    z: Tensor,
    levels: Tensor,
    noise: Noise | None = None,
    options: Options | None = None,
) -> tuple[Tensor, int]:
    """The last z, and the calls made. The noise is left out where a sampler takes none."""
    sample, counted = find("samplers", sampler).sample, Counted(denoiser)
    given = {"noise": noise} if "noise" in inspect.signature(sample).parameters else {}
    return last(sample(counted, z, levels, Cond(), **given, **(options or {}))), counted.calls


@dataclass(frozen=True)
class Seeds:
    """Several seeds side by side in one batch: seed k draws the same whatever others there are."""

    count: int  # of seeds
    each: int  # samples of each

    def normal(self, purpose: str, like: Float[Tensor, "b *chw"]) -> Float[Tensor, "b *chw"]:
        parts = like.reshape(self.count, self.each, *like.shape[1:])
        return Draw(0, tuple(range(self.count))).normal(purpose, parts).reshape(like.shape)

    def noise(self, step: int, like: Float[Tensor, "b *chw"]) -> Float[Tensor, "b *chw"]:
        return self.normal(f"step {step}", like)


def label(sampler: str, options: Options) -> str:
    """Such as "unipc, order=3"."""
    shown = {name: f"{value:g}" if type(value) is float else value for name, value in options.items()}
    return ", ".join([sampler, *(f"{name}={value}" for name, value in shown.items())])
