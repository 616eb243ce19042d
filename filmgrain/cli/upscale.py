"""`filmgrain upscale RUN CLIP`: more pixels of a video."""

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
    from ..model import DiffusionModel


@dataclass(frozen=True, kw_only=True)
class Upscale(conditional.Options):
    """What can be typed. What is left out is as in the run's recipe."""

    clip: Annotated[Path, Argument(help="A small video.")]
    factor: Annotated[int, Option(min=0, help="Times as high and wide; 0: from the clip's size to the model's.")] = 0
    augmentation: Annotated[
        float, Option(help="log-SNR to which the small video is noised, of a run trained to be given one.")
    ] = 4.0


def upscale(options: Upscale) -> None:
    """Make a video larger, to the size of the run's: its small copy stays as it is given."""
    from dataclasses import replace

    from ..generate.upscale import upscale_blocks

    session = opened(options, _known)
    factor = _factor(session.model, options.clip, options.factor)
    height, width = session.model.shape[-2:]
    clip, fps = session.read(options.clip, size=(height // factor, width // factor))
    with usage():
        call = session.call | {"how": replace(session.how, augmentation=options.augmentation)}
    blocks = upscale_blocks(session.model, clip, **call)
    out, by = options.out or beside(options.clip, f"{factor}x-larger"), ""
    if "low_resolution" in session.model.conditioners:
        by = "the condition low_resolution"
    session.write(blocks, out, clip.shape[1], options.fps or fps, by=by)


def _factor(model: "DiffusionModel", clip: Path, asked: int) -> int:
    """By how much a clip grows: as asked, as the run was trained, or as its size says. Raises Usage."""
    from ..files.video import probe

    (height, width), info = model.shape[-2:], probe(clip)
    trained = getattr(dict(model.conditioners).get("low_resolution"), "factor", 0)
    factor = asked or trained or height // info.height
    fits = factor > 1 and not (height % factor or width % factor)
    if not fits or (not asked and not trained and (height, width) != (factor * info.height, factor * info.width)):
        raise Usage(
            f"{clip} is {info.width}x{info.height}, and the model makes {width}x{height}: not a whole number of times "
            "as much; give a --factor that divides both sides, such as 2, and the clip is scaled and cropped for it"
        )
    return factor


def _known(clips: "Tensor", session: Session) -> "Given":
    """A smaller copy of all of it."""
    from ..generate.conditional import Given
    from ..generate.extend import unknown
    from ..guidance.measurements import Downsample

    factor = _factor(session.model, session.options.clip, session.options.factor)
    nothing = unknown(session.model, len(clips), clips.shape[2])
    return Given(nothing.x, nothing.mask, Downsample(factor)(clips))


command = command_of(Upscale, upscale)
