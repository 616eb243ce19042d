"""`filmgrain import FORMAT CHECKPOINT RUN`: a run made of another program's weights."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from .console import say
from .errors import Usage, usage


def import_(
    kind: Annotated[str, Argument(metavar="FORMAT", help="video-diffusion-pytorch.")],
    checkpoint: Annotated[Path, Argument(help="Its file.")],
    run: Annotated[Path, Argument(help="New folder of the run.")],
    size: Annotated[int, Option(min=1, help="Pixels a side of what it was trained on.")] = 64,
    frames: Annotated[int, Option(min=1, help="Frames of what it was trained on.")] = 10,
    data: Annotated[str, Option(help="Folder of videos to go on training on, if you will.")] = "none",
) -> None:
    """Make a run of another program's checkpoint: it samples, and can be trained further."""
    from .. import runs
    from ..data.video_folder import Config
    from ..recipe import Recipe
    from ..rooms import find, names, nearest
    from ..training.config import Config as Training

    known = [name.replace("_", "-") for name in names("interop") if hasattr(find("interop", name), "read")]
    if kind not in known:
        raise Usage(f'"{kind}" is no format that can be imported{nearest(kind, known)}')
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise Usage(f"{run} exists; give a new folder for the run")
    found = find("interop", kind.replace("-", "_")).read(checkpoint, frames=frames, height=size, width=size)
    with usage():
        recipe = Recipe(
            data=Config(folder=data, frames=frames, height=size, width=size),
            network=found.network_config,
            diffusion=found.model_config,
            train=Training(steps=found.step + Training.steps),  # counted from step 0, and some are done
        )
    runs.write(run, recipe, model=found.model_state, ema=found.ema_state, step=found.step)
    total = sum(tensor.numel() for tensor in found.model_state.values())
    say(f"{run}: {total:,} parameters of step {found.step}", f"next: filmgrain sample {run} --count 4")
