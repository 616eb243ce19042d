"""More pixels of a video: what is made has the given smaller copy, the mean of every square of its pixels.

By a model that was never told so, with the gradient of |y - down(x0)|^2 (Ho et al. 2022, sec. 3.1); or by a stage that
was trained for it, whose condition is the smaller copy itself (conditioning/low_resolution.py).
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from ..model import DiffusionModel
from .conditional import Conditional, Given, drawer
from .extend import Said, batched, overlap_of, unknown
from .sampling import Config
from .windows import fill, plan


def upscale(
    model: DiffusionModel,
    clip: Float[Tensor, "*b c f h w"],
    *,
    how: Conditional | None = None,
    config: Config | None = None,
    seed: int = 0,
    given: Said | None = None,
) -> Float[Tensor, "*b c f H W"]:
    """The clip in [-1, 1], or a batch of clips, at the height and width of the model's, a multiple of its own."""
    whole = torch.cat(list(upscale_blocks(model, clip, how=how, config=config, seed=seed, given=given)), dim=2)
    return whole if clip.ndim == 5 else whole[0]


@torch.no_grad()
def upscale_blocks(
    model: DiffusionModel,
    clip: Float[Tensor, "*b c f h w"],
    *,
    how: Conditional | None = None,
    config: Config | None = None,
    seed: int = 0,
    given: Said | None = None,
) -> Iterator[Float[Tensor, "b c new H W"]]:
    """The same a block at a time; frames of the block before are known as they were made."""
    how, config = how or Conditional(), config or Config()
    small = clip if clip.ndim == 5 else clip[None]
    factor_of(model, small)
    batched(model, small.new_zeros(*small.shape[:3], *model.shape[2:]))  # of channels, and a model of videos

    def held(start: int, stop: int) -> Given:
        """The last window of a short clip goes on with its last frame, whose successors are dropped."""
        at = torch.arange(start, stop).clamp(max=small.shape[2] - 1)
        what = unknown(model, len(small), stop - start)
        return Given(what.x, what.mask, small[:, :, at].float())

    draw = drawer(model, how, config, seed, given or {})
    yield from fill(plan(small.shape[2], model.shape[1], overlap_of(model, how)), draw, held)


def factor_of(model: DiffusionModel, clip: Float[Tensor, "*b c f h w"]) -> int:
    """By how much the model's frames are larger, in each direction. Raises ValueError."""
    height, width = clip.shape[-2:]
    factor = model.shape[-1] // max(width, 1)
    if factor < 2 or (factor * height, factor * width) != tuple(model.shape[-2:]):
        size = "x".join(map(str, model.shape[-2:]))
        raise ValueError(f"the clip is {height}x{width}, and the model makes {size}; give one a whole number smaller")
    stage = dict(model.conditioners).get("low_resolution")
    if stage is not None and getattr(stage, "factor", factor) != factor:
        raise ValueError(
            f"the model was trained to enlarge {stage.factor} times, not {factor}; give a clip of that size"
        )
    return factor
