"""`filmgrain extend RUN [CLIP]`: a video gone on with, before it, behind it or in a circle; or one from nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from . import conditional
from .conditional import Session, beside, command_of, opened
from .errors import Usage, usage

if TYPE_CHECKING:
    from torch import Tensor

    from ..generate.conditional import Given


@dataclass(frozen=True, kw_only=True)
class Extend(conditional.Options):
    """What can be typed. What is left out is as in the run's recipe."""

    clip: Annotated[Path | None, Argument(help="A video; without one, all is made from nothing.")] = None
    frames: Annotated[int, Option(min=2, help="Of the video that is written, those of the clip among them.")] = 64
    before: Annotated[bool, Option("--before", help="What comes before the clip.")] = False
    loop: Annotated[bool, Option("--loop", help="Come back to the first frames, so that it can play for ever.")] = False


def extend(options: Extend) -> None:
    """Go on with a video, block after block, each given the end of the one before."""
    from ..generate.extend import extend_blocks, loop_blocks

    if options.loop and options.before:
        raise Usage("--loop and --before: a loop has no before; leave one of them out")
    session = opened(options, _known)
    clip, fps = session.read(options.clip, paced=True) if options.clip else (None, session.config.fps)
    out = options.out or (beside(options.clip, "loop" if options.loop else "extended") if options.clip else None)
    with usage():
        if options.loop:
            blocks = loop_blocks(session.model, clip, frames=options.frames, **session.call)
        else:
            call = session.call | {"frames": options.frames, "before": options.before}
            blocks = extend_blocks(session.model, clip, **call)
    out = out or Path("loop.gif" if options.loop else "extended.gif")
    session.write(blocks, out, options.frames, options.fps or fps, backwards=options.before)


def _known(clips: "Tensor", session: Session) -> "Given":
    """The first frames of a block, or the last."""
    import torch

    from ..generate.conditional import Given
    from ..generate.extend import overlap_of

    mask = torch.zeros(1, *clips.shape[2:]).bool()
    overlap = overlap_of(session.model, session.how)
    mask[:, slice(-overlap, None) if session.options.before else slice(overlap)] = True
    return Given(clips, mask)


command = command_of(Extend, extend)
