"""`filmgrain import FORMAT CHECKPOINT RUN`: a run made of another program's weights."""

import inspect
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from .console import say
from .errors import Usage, usage

FORMATS = "diffusers, pytorch-ddpm, denoising-diffusion-pytorch, video-diffusion-pytorch."


def import_(
    kind: Annotated[str, Argument(metavar="FORMAT", help=FORMATS)],
    checkpoint: Annotated[Path, Argument(help="Its file; of diffusers, its folder.")],
    run: Annotated[Path, Argument(help="New folder of the run.")],
    size: Annotated[int | None, Option(min=1, help="Pixels a side of what it was trained on.")] = None,
    frames: Annotated[int | None, Option(min=1, help="Frames of what it was trained on.")] = None,
    data: Annotated[str, Option(help="Folder of files to go on training on, if you will.")] = "none",
) -> None:
    """Make a run of another program's checkpoint: it samples, and can be trained further."""
    from .. import runs
    from ..generate.sampling import Config as Sampling
    from ..recipe import Recipe
    from ..training.config import Config as Training

    read = module_of(kind, "read").read
    given = {name: value for name, value in {"size": size, "frames": frames}.items() if value is not None}
    for name in given:
        if name not in inspect.signature(read).parameters:
            raise Usage(f"--{name}={given[name]} says nothing to {kind}; leave it out")
    refuse_existing(run)
    found = read(checkpoint, **given)
    with usage():
        recipe = Recipe(
            data=_data(data, found.shape),
            network=found.network_config,
            diffusion=found.model_config,
            train=Training(steps=found.step + Training.steps),  # counted from step 0, and some are done
            sample=Sampling(**found.sampling),
        )
    runs.write(run, recipe, model=found.model_state, ema=found.ema_state, step=found.step)
    total = sum(tensor.numel() for tensor in found.ema_state.values())
    say(f"{run}: {total:,} parameters of step {found.step}", f"next: filmgrain sample {run} --count 4")


def module_of(kind: str, slot: str) -> Any:
    """The module of interop/ for a format, such as pytorch-ddpm, that has `read` or `write`."""
    from ..rooms import find, names, nearest

    known = [name.replace("_", "-") for name in names("interop") if hasattr(find("interop", name), slot)]
    if kind not in known:
        done = "imported" if slot == "read" else "exported"
        raise Usage(f'"{kind}" is no format that can be {done}{nearest(kind, known)}')
    return find("interop", kind.replace("-", "_"))


def refuse_existing(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Usage(f"{folder} exists; give a new folder")


def _data(folder: str, shape: tuple[int, ...]) -> Any:
    """The Config of data of such a shape: of videos, of pictures, or of grey ones as MNIST has them."""
    from ..data import idx, image_folder, video_folder

    *channels_and_frames, height, width = shape
    size: dict[str, Any] = {"folder": folder, "height": height, "width": width}
    match channels_and_frames:
        case [_, frames]:
            return video_folder.Config(**size, frames=frames)
        case [1]:
            return idx.Config(**size)
    return image_folder.Config(**size)
