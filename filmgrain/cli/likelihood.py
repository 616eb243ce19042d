"""`filmgrain likelihood RUN`: how many bits a dimension the run's model needs for data that it has not seen."""

import inspect
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from typer import Option

from .. import __version__
from .console import progress, say
from .datasets import dataset
from .errors import Usage, usage
from .flags import Device, Precision, RunFolder, Weights

if TYPE_CHECKING:
    from ..evaluate.likelihood import Likelihood


@dataclass(frozen=True, kw_only=True)
class Options:
    """What can be typed."""

    run: RunFolder
    method: Annotated[str, Option(help="bound, the variational one, or ode, of the probability flow.")] = "bound"
    items: Annotated[int, Option(min=1, help="Number of clips or pictures.")] = 64
    split: Annotated[str, Option(help="Of the run's data: held_out or train.")] = "held_out"
    data: Annotated[Path | None, Option(help="Folder of other files, all of which are used.")] = None
    seed: Annotated[int, Option(help="Of the items' order and of all noise.")] = 0
    levels: Annotated[int, Option(min=1, help="Of noise, for the bound of an item.")] = 64
    gamma: Annotated[float, Option(min=0, max=1, help="Variance of a chain: 0 fixed small, 1 fixed large.")] = 0.0
    high: Annotated[float, Option(help="Log-SNR at which bytes are read off.")] = 13.0
    steps: Annotated[int, Option(min=1, help="Of ode, 4 evaluations each.")] = 64
    probes: Annotated[int, Option(min=1, help="Of ode, a gradient an evaluation each.")] = 2
    dequantisation: Annotated[str, Option(help="Of ode: noise or uniform.")] = "noise"
    batch: Annotated[int, Option(min=1, help="Items at once; memory grows with it.")] = 8
    device: Device = "auto"
    precision: Precision = "float32"
    weights: Weights = "ema"


def measure(options: Options) -> "Likelihood":
    """Prints the result, and adds it as a line of JSON to likelihood.jsonl in the run."""
    from .. import runs
    from ..data.split import SPLITS
    from ..evaluate import likelihood as room
    from ..files import fsio
    from ..recipe import load
    from ..training.checkpoint import read_state

    checkpoint = runs.newest(options.run)  # one for all that follows: the run may be training
    if options.split not in SPLITS:
        raise Usage(f"--split {options.split}: use {' or '.join(SPLITS)}")
    with usage():
        config = room.Config(**{name: getattr(options, name) for name in room.Config.__dataclass_fields__})
        model = runs.load_checkpoint(
            checkpoint, weights=options.weights, device=options.device, precision=options.precision
        )
    data = dataset(load(checkpoint / "recipe.toml"), str(options.data or options.split))
    with usage():
        room.check(model, data)
    step = read_state(checkpoint).step
    start = time.monotonic()
    with progress("measuring") as bar:
        result = room.likelihood(model, data, config, batch=options.batch, progress=bar)
    seconds = time.monotonic() - start
    say(str(result))
    if result.parts:
        say(" + ".join(f"{value:.4f} {name}" for name, value in result.parts.items()))
    source = str(options.data) if options.data else options.split
    say(f"{source}, seed {options.seed}; {options.weights} weights of step {step}")
    say(f"NFE {result.protocol['nfe']} an item, {seconds:.1f} s in all")
    made = {"filmgrain": __version__, "run": str(options.run), "step": step, "weights": options.weights}
    made |= {"precision": str(model.precision).removeprefix("torch.")}
    row = made | {"data": source, "seconds": round(seconds, 1)} | result.row()
    fsio.append_jsonl(options.run / "likelihood.jsonl", row)
    say(str(options.run / "likelihood.jsonl"))
    return result


def command(**typed: Any) -> None:
    """Measure bits per dimension of held-out data: a bound, with its 95 % interval and its protocol."""
    measure(Options(**typed))


command.__signature__ = inspect.signature(Options)  # type: ignore[attr-defined]  # typer reads the options from here
command.__annotations__ = get_type_hints(Options, include_extras=True)
