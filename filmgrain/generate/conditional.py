"""A sample of which something is known, from a model that was never told so (Ho et al. 2022, sec. 3.1).

What is known are values of x under a mask (frames, or a region), a smaller copy of all of x, or both. It enters by

    replacement   the known values put into x0, so that their part of z follows q(z | known): guidance/known.py
    guidance      x0 - (w_r alpha / 2) grad_z |y - A(x0)|^2, by which the rest hears of it: guidance/reconstruction.py
    both          the second within the first, which is what the paper samples with
    covariance    the second by the posterior's own covariance, within the first: guidance/covariance.py
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.draw import Draw, generator
from ..guidance.covariance import Covariance
from ..guidance.known import Known
from ..guidance.measurements import Downsample, Mask, Together
from ..guidance.reconstruction import Reconstruction
from ..model import DiffusionModel
from ..rooms import nearest
from .deep_cache import cached
from .sampling import THRESHOLDS, Config, away, guided, walk_by
from .videos import NotFinite, finished, of_each

METHODS = ("replacement", "guidance", "both", "covariance")
FARTHEST = 10.0  # by which guidance may move x0, in units of x, where noise leaves nearly all open; the range is 2
LAST = 0.5  # the same at the last step, where nothing is open


class Diverged(ValueError):
    """Guidance that drove the sample away from what is known."""


@dataclass(frozen=True, kw_only=True)
class Conditional:
    """How what is known enters."""

    method: str = "both"  # "replacement", "guidance", "both" or "covariance"
    weight: float = 3.0  # w_r of guidance
    overlap: int = 0  # frames that a block takes over from the one before it; 0: half of the model's
    noise: float = 0.1  # of what is known, its standard deviation in units of x, of covariance; 0 for exact denoisers
    iterations: int = 5  # of covariance: passes back through the network at each step
    augmentation: float = 4.0  # log-SNR to which a smaller copy is noised, of a model that was trained to be given one

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f'method="{self.method}" is unknown{nearest(self.method, [*METHODS])}')
        if not 0 <= self.weight < float("inf"):
            raise ValueError(f"weight={self.weight} of guidance is no number of 0 or more; 3 is usual")
        if not 0 <= self.noise < float("inf"):
            raise ValueError(f"noise={self.noise} of what is known is no standard deviation; use 0 or more")
        if self.iterations < 1:
            raise ValueError(f"iterations={self.iterations} of method=covariance; use 1 or more")
        if not self.augmentation > -float("inf"):
            raise ValueError(f"augmentation={self.augmentation} of a smaller copy is no log-SNR; 4 is usual")
        if self.overlap < 0:
            raise ValueError(f"overlap={self.overlap} is negative; use 0 for half of the model's frames")

    @property
    def replaces(self) -> bool:
        return self.method != "guidance"

    @property
    def guides(self) -> bool:
        return self.method == "covariance" or (self.method in ("guidance", "both") and self.weight > 0)


@dataclass(frozen=True, eq=False)
class Given:
    """What is known of a batch of x."""

    x: Float[Tensor, "b *cfhw"]  # whatever it likes where the mask is false
    mask: Bool[Tensor, "*cfhw"]  # of one sample, the same for all: true where x is known
    small: Float[Tensor, "b *cfhw"] | None = None  # a smaller copy: the mean of every square of pixels

    @property
    def factor(self) -> int:
        return 1 if self.small is None else self.x.shape[-1] // self.small.shape[-1]


def drawer(
    model: DiffusionModel, how: Conditional, config: Config, seed: int, said: Mapping[str, Sequence[Any]]
) -> Callable[[int, Given], Float[Tensor, "b *cfhw"]]:
    """draw(number, given): block `number` of every sample of the batch, in [-1, 1], with what is known of it in place.

    said: of each sample, such as {"label": [3]}. Block 0 of a seed has the noise of `generate`'s samples of that seed.
    """
    if how.guides and config.cache > 1:
        raise ValueError(f"cache={config.cache} keeps features without their derivatives; use sample.cache=1 to guide")

    @torch.no_grad()
    def draw(number: int, given: Given) -> Tensor:
        place = next(model.parameters()).device
        given = Given(given.x.to(place), given.mask.to(place), None if given.small is None else given.small.to(place))
        ids = tuple(range(len(given.x)))
        own = Draw(seed if number == 0 else int(generator(seed, "block", number).integers(1 << 62)), ids)
        with evaluating(model):
            batch, kept = of_each(model, said, len(ids))[1], _stage(model, given, how)
            cond = model.condition({**batch, **kept}, own)
            pull = Pull(guided(model, config, away(model, config, own, kept)) if said else cached(model, config.cache))
            denoiser = around(pull, model, given, how, config, staged=bool(kept))
            z, levels = own.normal("start", model.codec.encode(given.x)), config.grid_of(model.schedule)
            try:
                x0 = finished(walk_by(denoiser, z, levels, cond, config, own))
            except NotFinite:
                pull.check(how)  # which may be why
                raise
        pull.check(how)
        return torch.where(given.mask, given.x, model.codec.decode(x0).clamp(-1, 1)).cpu()

    return draw


def around(
    pull: "Pull", model: DiffusionModel, given: Given, how: Conditional, config: Config, staged: bool
) -> Denoiser:
    """The model held to what is known. Its threshold stands between guidance, which it bounds, and known values."""
    x0, mask = model.codec.encode(given.x), given.mask.expand(given.x.shape[1:])
    parts: list[tuple[Any, Tensor, float]] = [(Mask(mask), x0[:, mask], 1.0)] if mask.any() else []
    if given.small is not None and not staged:  # each of its pixels counts as all those that it stands for
        parts.append((Downsample(given.factor), model.codec.encode(given.small), float(given.factor**2)))
        if not how.guides:
            raise ValueError(
                f'method="{how.method}" cannot hold to a smaller copy; use method=both and a weight above 0'
            )
    denoiser: Denoiser = pull
    if parts and how.guides:
        together = Together(tuple(part[0] for part in parts), tuple(part[2] for part in parts))
        known = together.joined([part[1] for part in parts])
        if how.method == "covariance":
            denoiser = pull.watched(Covariance(pull, together, known, how.noise, how.iterations))
        else:
            denoiser = pull.watched(Reconstruction(pull, together, known, how.weight))
    denoiser = THRESHOLDS[config.threshold](denoiser) if model.codec.bounded else denoiser
    return Known(denoiser, x0, mask) if how.replaces and mask.any() else denoiser


@dataclass(eq=False)
class Pull:
    """How far guidance moves x0, by which a weight that is too large is known; root mean square, of each sample."""

    denoiser: Denoiser
    before: Tensor | None = None  # x0 as the model has it
    moved: list[Tensor] = field(default_factory=list)  # one a call, on the device

    def __call__(self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b *chw"]:
        x0 = self.denoiser(z, logsnr, cond)
        self.before = x0.detach()
        return x0

    def watched(self, guidance: Denoiser) -> Denoiser:
        def denoiser(z: Tensor, logsnr: Tensor, cond: Cond) -> Tensor:
            x0 = guidance(z, logsnr, cond)
            assert self.before is not None  # guidance has called this
            self.moved.append((x0 - self.before).flatten(1).square().mean(1).sqrt().max())
            return x0

        return denoiser

    def check(self, how: Conditional) -> None:
        """Raises Diverged. Guidance by the covariance has no weight and solves for its step."""
        if not self.moved or how.method == "covariance":
            return
        moved = torch.stack(self.moved)
        last, farthest = moved[-1].item(), moved.max().item()
        if not (last <= LAST and farthest <= FARTHEST):
            raise Diverged(
                f"guidance by weight={how.weight:g} diverged: it moved x0, whose range is 2, by up to {farthest:.2g}, "
                f"and by {last:.2g} at the last step; use a smaller weight or more steps"
            )


def enlarged(small: Float[Tensor, "*b h w"], factor: int) -> Float[Tensor, "*b H W"]:
    """Each pixel as factor x factor of them, of which Downsample makes the same smaller copy again."""
    return small.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


def _stage(model: DiffusionModel, given: Given, how: Conditional) -> dict[str, Any]:
    """What a stage of super-resolution is told of the smaller copy; nothing for any other model."""
    if given.small is None or "low_resolution" not in model.conditioners:
        return {}
    return {"x": [*enlarged(given.small, given.factor)], "augmentation": [how.augmentation] * len(given.x)}


@contextmanager
def evaluating(model: DiffusionModel) -> Iterator[None]:
    """In evaluation mode, and its weights without gradients: guidance differentiates by z alone."""
    was_training, learned = model.training, [p for p in model.parameters() if p.requires_grad]
    model.eval()
    for parameter in learned:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        model.train(was_training)
        for parameter in learned:
            parameter.requires_grad_(True)
