"""What can be typed of several commands, each said once."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

RunFolder = Annotated[Path, Argument(help="Folder that `filmgrain train` wrote.")]
Stated = Annotated[list[str], Option("--given", metavar="NAME=VALUE", help="What else is said, such as frame_rate=12.")]
Scale = Annotated[float | None, Option(help="Of guidance towards label and prompt; 1 is none.")]
Steps = Annotated[int | None, Option(min=1, help="Sampling steps.")]
Sampler = Annotated[str | None, Option(help="ancestral, ddim, heun, dpmpp_2m ... or the dotted path of your own.")]
Grid = Annotated[str | None, Option(help="Of noise levels: uniform, karras, logsnr, trailing ...")]
Device = Annotated[str, Option(help="cuda, mps, cpu, or auto: the first of these that is there.")]
Precision = Annotated[str, Option(help="float32, bfloat16, or auto: bfloat16 where it is fast.")]
Weights = Annotated[str, Option(help="ema, the average over training, or raw.")]
