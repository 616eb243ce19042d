"""`filmgrain demo`: the whole way in minutes, on data that need no files: first words to clips, then training anew."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from .console import say
from .errors import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from ..evaluate.shapes import Reading

COUNT = 32  # samples that are measured
BATCH = 16  # of them at once
PROMPTS = (
    "a blue square bouncing",
    "a red star circling",
    "a yellow ring moving left",
    "a green triangle moving up",
)


def demo(
    folder: Annotated[Path, Option(help="Folder to write to.")] = Path("demo"),
    settings: Annotated[
        list[str] | None, Option("--set", metavar="KEY=VALUE", help="Change the demo's recipe.")
    ] = None,
) -> None:
    """Draw clips from words, train a small video model on moving shapes, and say how many of its clips keep shape."""
    from ..recipe import shipped
    from .sample import Options, sample
    from .train import train

    run = folder / "run"
    words = folder / "words"
    if folder.exists() and not run.is_dir() and (not folder.is_dir() or {*folder.iterdir()} - {words}):
        raise Usage(f"--folder {folder} holds other files; give a new folder")
    say("first, from words, by the model that came with filmgrain:")
    sample(Options(prompts=[*PROMPTS], count=1, out=words))
    say("", "now a model of your own, from nothing:")
    start = time.monotonic()
    if (run / "checkpoints").is_dir():
        say(f"{run} is there already: going on with it (remove {folder} to start anew)")
        train(run=run, resume=True, settings=settings)
    else:
        train(str(shipped()["demo"]), run=run, settings=settings)  # by its path: "demo" is a folder by now
    trained = time.monotonic() - start
    found: list[Reading] = []
    sample(Options(run=run, count=COUNT, batch=BATCH, out=folder / "samples"), _reader(run, found))
    _tell(found)
    say(f"{trained:.0f} s of training, {time.monotonic() - start - trained:.0f} s of sampling")
    say(f"look at {folder / 'samples' / 'sheet.gif'}, sheet.mp4 and sheet.png; one clip a file beside them")


def _reader(run: Path, found: "list[Reading]") -> "Callable[[np.ndarray], None]":
    """What adds to `found` what each clip of a batch shows: nothing of the model is asked, only the pixels are read."""
    from .. import runs
    from ..evaluate.shapes import read

    data = runs.recipe_of(run).data
    return lambda clips: found.extend(read(clip, data.kinds, data.colours) for clip in clips)


def _tell(readings: "list[Reading]") -> None:
    """What the samples show, against what shapes do."""
    from ..evaluate.shapes import summary

    found = summary(readings)
    say(
        f"of {len(readings)} samples, {found['kept']:.0%} show one clean shape that keeps its kind and colour and "
        "moves smoothly (of real clips 100 % do)",
        f"  kind kept {found['keeps_kind']:.0%}, colour kept {found['keeps_colour']:.0%}, "
        f"smooth {found['moves_smoothly']:.0%}; {found['different']:.0f} different shapes and colours among them",
    )
