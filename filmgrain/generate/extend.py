"""Videos of any length from a model of short ones: block after block, each given the end of the one before it.

    clip [ ........ overlap ] -> [ overlap | new frames ] -> [ overlap | new frames ] ...     (Ho et al. 2022, sec. 3.1)

A block is drawn by the method of conditional.py. Memory is that of one block, however long the video.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..model import DiffusionModel
from .conditional import Conditional, Given, drawer
from .sampling import Config
from .windows import fill, plan

Said = Mapping[str, Sequence[Any]]  # of each sample, such as {"caption": ["a red circle bouncing"]}


def extend(
    model: DiffusionModel,
    clip: Float[Tensor, "*b c f h w"] | None,
    *,
    frames: int,
    before: bool = False,
    how: Conditional | None = None,
    config: Config | None = None,
    seed: int = 0,
    given: Said | None = None,
) -> Float[Tensor, "*b c frames h w"]:
    """The clip in [-1, 1], or a batch of clips, gone on to `frames` frames in all; without one, a video from nothing.

    before: what comes before the clip instead. Raises Diverged, NotFinite, and ValueError for a clip that does not fit.
    """
    options: dict[str, Any] = {"frames": frames, "before": before, "how": how, "config": config}
    blocks = list(extend_blocks(model, clip, **options, seed=seed, given=given))
    whole = torch.cat(blocks[::-1] if before else blocks, dim=2)
    return whole if clip is not None and clip.ndim == 5 else whole[0]


@torch.no_grad()
def extend_blocks(
    model: DiffusionModel,
    clip: Float[Tensor, "*b c f h w"] | None,
    *,
    frames: int,
    before: bool = False,
    how: Conditional | None = None,
    config: Config | None = None,
    seed: int = 0,
    given: Said | None = None,
) -> Iterator[Float[Tensor, "b c new h w"]]:
    """The same a block at a time: the clip itself, then each block's new frames; those before it from near to far."""
    how, config, known = how or Conditional(), config or Config(), batched(model, clip)
    length, overlap = model.shape[1], overlap_of(model, how)
    count = 0 if known is None else known.shape[2]
    if frames <= count:
        raise ValueError(f"frames={frames}, and the clip has {count} already; ask for more")
    if known is not None and count < overlap:
        raise ValueError(
            f"the clip has {count} frames, fewer than the overlap of {overlap}; use overlap={count} or less"
        )
    draw, size = drawer(model, how, config, seed, given or {}), 1 if known is None else len(known)
    turn = (lambda x: x.flip(-3)) if before else (lambda x: x)  # time runs backwards through the windows

    def nothing(start: int, stop: int) -> Given:
        return unknown(model, size, stop - start)

    def block(number: int, what: Given) -> Tensor:
        return turn(draw(number, Given(turn(what.x), turn(what.mask))))

    if known is not None:
        yield known
    windows = plan(frames, length, overlap, drawn=count)
    tail = None if known is None else turn(known)[:, :, -length:]
    for new in fill(windows, block, nothing, tail):
        yield turn(new)


def loop(
    model: DiffusionModel,
    clip: Float[Tensor, "*b c f h w"] | None,
    *,
    frames: int,
    how: Conditional | None = None,
    config: Config | None = None,
    seed: int = 0,
    given: Said | None = None,
) -> Float[Tensor, "*b c frames h w"]:
    """A video whose end meets its start: `extend`, and a last block between its end and its first frames."""
    blocks = list(loop_blocks(model, clip, frames=frames, how=how, config=config, seed=seed, given=given))
    whole = torch.cat(blocks, dim=2)
    return whole if clip is not None and clip.ndim == 5 else whole[0]


@torch.no_grad()
def loop_blocks(
    model: DiffusionModel,
    clip: Float[Tensor, "*b c f h w"] | None,
    *,
    frames: int,
    how: Conditional | None = None,
    config: Config | None = None,
    seed: int = 0,
    given: Said | None = None,
) -> Iterator[Float[Tensor, "b c new h w"]]:
    """The same a block at a time. The last one knows a quarter of the model's frames on either side."""
    how, config, known = how or Conditional(), config or Config(), batched(model, clip)
    length, overlap = model.shape[1], overlap_of(model, how)
    side = max(1, length // 4)
    room, count = length - 2 * side, 0 if known is None else known.shape[2]
    if room < 1 or frames < (least := max(count, side) + room):
        raise ValueError(
            f"frames={frames} leaves no room to come back to the start; use {least if room > 0 else 3} or more"
        )
    if known is not None and count < max(overlap, side):
        raise ValueError(
            f"the clip has {count} frames, fewer than the overlap of {max(overlap, side)}; use a smaller one"
        )
    draw, size = drawer(model, how, config, seed, given or {}), 1 if known is None else len(known)
    first = None if known is None else known[:, :, :side]

    def ahead(start: int, stop: int) -> Given:
        what = unknown(model, size, stop - start)
        if first is not None and stop > frames:
            what.x[:, :, frames - start :] = first[:, :, : stop - frames]
            what.mask[:, frames - start :] = True
        return what

    if known is not None:
        yield known
    windows = plan(frames, length, overlap, drawn=count, room=room)
    for new in fill(windows, draw, ahead, None if known is None else known[:, :, -length:]):
        first = new[:, :, :side] if first is None else first
        yield new


def batched(model: DiffusionModel, clip: Tensor | None) -> Float[Tensor, "b c f h w"] | None:
    """A clip or a batch of clips, of the model's channels, height and width."""
    if len(model.shape) != 4:
        raise ValueError("the model makes images, which have no frames; give a model of videos")
    if clip is None:
        return None
    clips = clip if clip.ndim == 5 else clip[None]
    channels, _, *size = model.shape
    if clips.ndim != 5 or clips.shape[1] != channels or list(clips.shape[3:]) != size:
        expected = f"({channels}, frames, {size[0]}, {size[1]})"
        raise ValueError(f"the clip is {tuple(clip.shape)}, and the model's are {expected}; scale and crop it to that")
    return clips.float().cpu()  # where what is drawn goes, block after block


def unknown(model: DiffusionModel, count: int, frames: int) -> Given:
    """`count` clips of which nothing is known."""
    channels, _, height, width = model.shape
    return Given(torch.zeros(count, channels, frames, height, width), torch.zeros(1, frames, height, width).bool())


def overlap_of(model: DiffusionModel, how: Conditional) -> int:
    length = model.shape[1]
    if how.overlap >= length:
        raise ValueError(f"overlap={how.overlap} of blocks of {length} frames; use 1 to {length - 1}")
    return how.overlap or max(1, length // 2)
