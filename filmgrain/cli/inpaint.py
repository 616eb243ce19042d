"""`filmgrain inpaint RUN [CLIP]`: a part of a video made anew, in space or in time."""

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

FORMS = "a picture or video that is white there, box=LEFT,TOP,WIDTH,HEIGHT, or frames=FIRST-LAST"


@dataclass(frozen=True, kw_only=True)
class Inpaint(conditional.Options):
    """What can be typed. What is left out is as in the run's recipe."""

    clip: Annotated[Path | None, Argument(help="A video; none with --first and --last.")] = None
    mask: Annotated[str, Option(metavar="FILE|box=...|frames=...", help=f"What is made anew: {FORMS}.")] = ""
    first: Annotated[Path | None, Option(help="A picture that the video begins with.")] = None
    last: Annotated[Path | None, Option(help="A picture that it ends with.")] = None
    frames: Annotated[int | None, Option(min=3, help="From --first to --last.", show_default="the model's")] = None


def inpaint(options: Inpaint) -> None:
    """Make a part of a video anew, or all between a first and a last frame."""
    from ..generate.inpaint import inpaint_blocks

    ends = options.first, options.last
    if bool(options.clip and options.mask) == any(ends) or (options.clip and any(ends)):
        raise Usage("give a CLIP with a --mask, or --first and --last pictures instead of both")
    session = opened(options, _known)
    if options.clip:
        clip, fps = session.read(options.clip)
        mask = mask_of(options.mask, options.clip, tuple(clip.shape[1:]))
    else:
        clip, mask = _ends(session)
        fps = session.config.fps
    with usage():
        blocks = inpaint_blocks(session.model, clip, mask, **session.call)
    out = options.out or (beside(options.clip, "inpainted") if options.clip else Path("inpainted.gif"))
    session.write(blocks, out, clip.shape[1], options.fps or fps)


def mask_of(text: str, clip: Path, shape: tuple[int, ...]) -> "Tensor":
    """bool (f, h, w) of a clip as the model has it, true where to make anew. Raises Usage."""
    import torch

    frames, height, width = shape
    mask = torch.zeros(shape).bool()
    kind, equals, numbers = text.partition("=")
    if not equals or kind not in ("box", "frames"):
        return _from_file(Path(text), clip, shape)
    try:
        given = [int(number) for number in numbers.split("-" if kind == "frames" else ",")]
        if kind == "box":
            left, top, across, down = given
            inside = (
                left >= 0 and top >= 0 and across > 0 and down > 0 and left + across <= width and top + down <= height
            )
            mask[:, top : top + down, left : left + across] = True
        else:
            first, last = given if len(given) > 1 else given * 2
            inside = 0 <= first <= last < frames
            mask[first : last + 1] = True
    except ValueError:
        raise Usage(f"--mask {text}: expected {FORMS}") from None
    if not inside:
        raise Usage(f"--mask {text} does not lie in the clip, {frames} frames of {width}x{height} as the model has it")
    return mask


def _from_file(path: Path, clip: Path, shape: tuple[int, ...]) -> "Tensor":
    """A picture, or a video of as many frames, of the clip's size or of the model's; lighter than grey is true."""
    import torch

    from ..data.given import read_frames
    from ..files.video import probe

    of_mask, of_clip, (frames, height, width) = probe(path), probe(clip), shape
    if (of_mask.height, of_mask.width) not in ((of_clip.height, of_clip.width), (height, width)):
        raise Usage(
            f"--mask {path} is {of_mask.width}x{of_mask.height}, the clip {of_clip.width}x{of_clip.height} and the "
            f"model {width}x{height}; give a mask of the size of one of them"
        )
    light = read_frames(path, shape)[1].mean(-1) > 127
    if len(light) not in (1, frames):
        raise Usage(
            f"--mask {path} has {len(light)} frames and the clip {frames}; give as many, or one for all of them"
        )
    if not light.any():
        raise Usage(f"--mask {path} is dark everywhere, so nothing would be made anew; draw that part in white")
    return torch.from_numpy(light).expand(shape)


def _ends(session: Session) -> "tuple[Tensor, Tensor]":
    """A clip of which the first frame is known, the last one, or both; and what is to be made."""
    import torch

    channels, length, height, width = session.model.shape
    frames = session.options.frames or length
    clip, mask = torch.zeros(channels, frames, height, width), torch.ones(frames, height, width).bool()
    for at, path in ((0, session.options.first), (frames - 1, session.options.last)):
        if path is not None:
            clip[:, at] = session.read(path)[0][:, 0]
            mask[at] = False
    return clip, mask


def _known(clips: "Tensor", session: Session) -> "Given":
    """Of held-out clips, all but what is to be made anew of the first frames of the given one."""
    import torch

    from ..files.video import probe
    from ..generate.conditional import Given

    options, (frames, *size) = session.options, clips.shape[2:]
    if options.clip is None:
        mask = torch.ones(frames, *size).bool()
        mask[0], mask[-1] = options.first is None, options.last is None
    else:
        whole = mask_of(options.mask, options.clip, (probe(options.clip).frames, *size))
        mask = torch.cat([whole, whole[-1:].expand(frames, *size)])[:frames]
    if not mask.any():
        raise Usage(f"--tune looks at the first {frames} frames, of which the mask makes none anew; give --weight")
    return Given(clips, ~mask[None])


command = command_of(Inpaint, inpaint)
