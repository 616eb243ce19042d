"""Parts of a video made anew, in space or in time: what is around them is known (Ho et al. 2022, sec. 3.1)."""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..model import DiffusionModel
from .conditional import Conditional, Given, drawer
from .extend import Said, batched, overlap_of, unknown
from .sampling import Config
from .windows import fill, plan


def inpaint(
    model: DiffusionModel,
    clip: Float[Tensor, "*b c f h w"],
    mask: Bool[Tensor, "*f h w"],
    *,
    how: Conditional | None = None,
    config: Config | None = None,
    seed: int = 0,
    given: Said | None = None,
) -> Float[Tensor, "*b c f h w"]:
    """The clip in [-1, 1], or a batch of clips, made anew where the mask is true; all else stays as it is.

    mask: (f, h, w); or (h, w), for every frame. Longer clips than the model's go block by block.
    """
    whole = torch.cat(list(inpaint_blocks(model, clip, mask, how=how, config=config, seed=seed, given=given)), dim=2)
    return whole if clip.ndim == 5 else whole[0]


@torch.no_grad()
def inpaint_blocks(
    model: DiffusionModel,
    clip: Float[Tensor, "*b c f h w"],
    mask: Bool[Tensor, "*f h w"],
    *,
    how: Conditional | None = None,
    config: Config | None = None,
    seed: int = 0,
    given: Said | None = None,
) -> Iterator[Float[Tensor, "b c new h w"]]:
    """The same a block at a time."""
    how, config, x = how or Conditional(), config or Config(), batched(model, clip)
    assert x is not None
    fits = mask.shape in (x.shape[2:], x.shape[3:])
    if not fits or mask.dtype != torch.bool or not mask.any():
        given_as = f"the mask is {mask.dtype} {tuple(mask.shape)}, true at {int(mask.sum())}"
        raise ValueError(f"{given_as}; give bool {tuple(x.shape[2:])}, or that without frames, true where to make anew")
    known = ~mask.expand(x.shape[2:])

    def of_the_clip(start: int, stop: int) -> Given:
        what, there = unknown(model, len(x), stop - start), slice(start, min(stop, x.shape[2]))
        what.x[:, :, : there.stop - start] = x[:, :, there]
        what.mask[0, : there.stop - start] = known[there]
        return what

    draw = drawer(model, how, config, seed, given or {})
    yield from fill(plan(x.shape[2], model.shape[1], overlap_of(model, how)), draw, of_the_clip)


def connect(
    model: DiffusionModel, first: Float[Tensor, "c h w"], last: Float[Tensor, "c h w"], *, frames: int, **options: Any
) -> Float[Tensor, "c frames h w"]:
    """A video of `frames` frames from its first and its last one. options: as of `inpaint`."""
    if frames < 3:
        raise ValueError(f"frames={frames} leaves none between the first and the last; use 3 or more")
    clip = torch.zeros(first.shape[0], frames, *first.shape[1:])
    clip[:, 0], clip[:, -1] = first, last
    mask = torch.ones(clip.shape[1:]).bool()
    mask[0] = mask[-1] = False
    return inpaint(model, clip, mask, **options)
