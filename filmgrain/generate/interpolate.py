"""Frames between those of a video: temporal imputation, every so many frames known (Ho et al. 2022, sec. 3.1)."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from ..model import DiffusionModel
from .conditional import Conditional, Given, drawer
from .extend import Said, batched, overlap_of, unknown
from .sampling import Config
from .windows import fill, plan


def interpolate(
    model: DiffusionModel,
    clip: Float[Tensor, "*b c f h w"],
    *,
    times: int = 2,
    how: Conditional | None = None,
    config: Config | None = None,
    seed: int = 0,
    given: Said | None = None,
) -> Float[Tensor, "*b c longer h w"]:
    """The clip in [-1, 1], or a batch of them, with times - 1 new frames after each but the last: (f - 1) times + 1."""
    blocks = interpolate_blocks(model, clip, times=times, how=how, config=config, seed=seed, given=given)
    whole = torch.cat(list(blocks), dim=2)
    return whole if clip.ndim == 5 else whole[0]


@torch.no_grad()
def interpolate_blocks(
    model: DiffusionModel,
    clip: Float[Tensor, "*b c f h w"],
    *,
    times: int = 2,
    how: Conditional | None = None,
    config: Config | None = None,
    seed: int = 0,
    given: Said | None = None,
) -> Iterator[Float[Tensor, "b c new h w"]]:
    """The same a block at a time. A block ends at a known frame, so that none is drawn without what comes after it."""
    how, config, x = how or Conditional(), config or Config(), batched(model, clip)
    assert x is not None
    length = model.shape[1]
    if not 2 <= times < length:
        raise ValueError(f"times={times} as many frames, of a model of {length}; use 2 to {length - 1}")
    if x.shape[2] < 2:
        raise ValueError(f"the clip has {x.shape[2]} frame, and nothing lies between; give 2 frames or more")
    total = (x.shape[2] - 1) * times + 1

    def spread(start: int, stop: int) -> Given:
        """Of these frames those that are the clip's."""
        what = unknown(model, len(x), stop - start)
        at = torch.arange(-(-start // times) * times, min(stop, total), times)
        what.x[:, :, at - start] = x[:, :, at // times]
        what.mask[:, at - start] = True
        return what

    draw = drawer(model, how, config, seed, given or {})
    yield from fill(plan(total, length, min(overlap_of(model, how), length - times), every=times), draw, spread)
