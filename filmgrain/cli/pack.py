"""`filmgrain pack RUN FOLDER`: a run to pass on."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from .console import say
from .errors import Usage
from .flags import RunFolder
from .import_ import refuse_existing


def pack(
    run: RunFolder,
    folder: Annotated[Path, Argument(help="New folder to write to.")],
    half: Annotated[bool, Option(help="Store the weights in float16.")] = True,
    settings: Annotated[
        list[str] | None, Option("--set", metavar="KEY=VALUE", help="How it samples, such as sample.scale=2.")
    ] = None,
) -> None:
    """Write a run's averaged weights alone, to pass on: a run that samples and can be trained on."""
    from .. import runs

    refuse_existing(folder)
    for setting in settings or ():
        if not setting.startswith("sample."):
            raise Usage(f"--set {setting}: only sample.* can be set here; the rest is as it was trained")
    made = runs.pack(run, folder, half=half, settings=settings or ())
    size = sum(file.stat().st_size for file in made.iterdir())
    say(f"{folder}: the averaged weights of {made.name}, {size / 1e6:.1f} MB in all")
