"""`filmgrain interpolate RUN CLIP`: frames between those of a video."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from . import conditional
from .conditional import Session, beside, command_of, opened

if TYPE_CHECKING:
    from torch import Tensor

    from ..generate.conditional import Given


@dataclass(frozen=True, kw_only=True)
class Interpolate(conditional.Options):
    """What can be typed. What is left out is as in the run's recipe."""

    clip: Annotated[Path, Argument(help="A video of too few frames a second.")]
    times: Annotated[int, Option(min=2, help="As many frames a second; 2 or 4 is usual.")] = 2


def interpolate(options: Interpolate) -> None:
    """Make the frames between those of a video: twice or four times as many a second."""
    from ..generate.interpolate import interpolate_blocks

    session = opened(options, _known)
    clip, fps = session.read(options.clip)
    total = (clip.shape[1] - 1) * options.times + 1
    blocks = interpolate_blocks(session.model, clip, times=options.times, **session.call)
    out = options.out or beside(options.clip, f"{options.times}x")
    session.write(blocks, out, total, options.fps or options.times * fps)


def _known(clips: "Tensor", session: Session) -> "Given":
    """Every so many frames."""
    import torch

    from ..generate.conditional import Given

    mask = torch.zeros(1, *clips.shape[2:]).bool()
    mask[:, :: session.options.times] = True
    return Given(clips, mask)


command = command_of(Interpolate, interpolate)
