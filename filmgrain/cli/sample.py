"""`filmgrain sample RUN`: new videos or pictures, each with the recipe that made it inside."""

import errno
import inspect
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from typer import Argument, Option

from .. import __version__
from .chain import Chain
from .console import progress, say, steps_of
from .errors import Usage, usage

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from ..generate.sampling import Config
    from ..recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Options:
    """What can be typed. What is left out is as in the run's recipe."""

    run: Annotated[Path, Argument(help="Folder that `filmgrain train` wrote.")]
    count: Annotated[int, Option(min=1, help="Number of samples, of each label if any is given.")] = 16
    labels: Annotated[list[str], Option("--label", metavar="NAME", help="A class, or all; may be given again.")] = ()  # type: ignore[assignment]
    scale: Annotated[float | None, Option(help="Of guidance towards the label; 1 is none.")] = None
    steps: Annotated[int | None, Option(min=1, help="Sampling steps.")] = None
    sampler: Annotated[str | None, Option(help="ddim, heun, dpmpp_2m ... or the dotted path of your own.")] = None
    grid: Annotated[str | None, Option(help="Of noise levels: uniform, karras, logsnr, trailing ...")] = None
    seed: Annotated[int, Option(help="The same seed gives the same samples.")] = 0
    out: Annotated[Path | None, Option(help="Folder to write to; by default inside the run.")] = None
    frames: Annotated[int | None, Option(min=1, help="Frames of a video.")] = None
    height: Annotated[int | None, Option(min=1, help="Pixels.")] = None
    width: Annotated[int | None, Option(min=1, help="Pixels.")] = None
    batch: Annotated[int, Option(min=1, help="Samples at once; memory grows with it.")] = 8
    fps: Annotated[float | None, Option(min=0.1, max=1000, help="Frames a second of the files.")] = None
    settings: Annotated[list[str], Option("--set", metavar="KEY=VALUE", help="Such as sample.options.eta=0.5.")] = ()  # type: ignore[assignment]
    strip: Annotated[int, Option(min=0, help="Draw the first samples at so many steps of their way too.")] = 0
    device: Annotated[str, Option(help="cuda, mps, cpu, or auto: the first of these that is there.")] = "auto"
    weights: Annotated[str, Option(help="ema, the average over training, or raw.")] = "ema"


def sample(options: Options) -> "np.ndarray":
    """Writes the samples and returns them as bytes (count, f, h, w, 3)."""
    from .. import runs
    from ..generate.sampling import warnings
    from ..generate.videos import generate, to_uint8
    from ..recipe import load
    from ..training.checkpoint import read_state

    start = time.monotonic()
    checkpoint = runs.newest(options.run)  # one for all that follows: the run may be training
    refuse_unwritable(options.out or options.run / "samples")
    recipe = load(checkpoint / "recipe.toml")
    sampling, labels = sampling_of(recipe, options), _labels(recipe, options.labels)
    if options.scale not in (None, 1) and not labels:
        raise Usage(f"--scale {options.scale:g} guides towards a label, and none is given; add --label NAME")
    count = options.count * max(1, len(labels))
    given = {"label": [label for label in labels for _ in range(options.count)]} if labels else {}
    with usage():
        model = runs.load_checkpoint(checkpoint, weights=options.weights, device=options.device)
        sampling.grid_of(model.schedule)  # refuses what the schedule cannot do
    say(*(f"warning: {sentence}" for sentence in warnings(recipe.diffusion, sampling)))
    shape = _shape(model.shape, options)
    how: dict[str, Any] = {"seed": options.seed, "config": sampling, "batch": options.batch, "given": given}
    chain = Chain(sampling.intervals, options.strip)
    with progress("sampling") as bar, evaluations(model) as calls:
        watch = chain.watch(steps_of(bar, count * sampling.intervals))
        x = generate(model, count, shape=shape, watch=watch, **how)

    step, nfe = read_state(checkpoint).step, calls.samples / count
    made = {"filmgrain": __version__, "run": str(options.run), "step": step, "weights": options.weights}
    made |= {"seed": options.seed, "shape": list(shape), **asdict(sampling), "nfe": nfe}
    rows = [recipe.conditions["label"].names[label] for label in labels]
    made |= {"label": rows} if rows else {}
    _tell(made, count, time.monotonic() - start)
    name = f"step-{step}-{sampling.sampler}-{sampling.intervals}-seed-{options.seed}"
    samples = to_uint8(x if x.ndim == 5 else x[:, :, None]).expand(-1, -1, -1, -1, 3).numpy()
    out = options.out or options.run / "samples" / name
    paths = _write(out, samples, made, rows, still=x.ndim == 4)
    say(*map(str, [*paths, *chain.write(out, model, made)]))
    return samples


def _tell(made: dict[str, Any], count: int, seconds: float) -> None:
    size = "x".join(map(str, made["shape"]))
    grid = f"{len(made['levels'])} levels of one's own" if made["levels"] else f"{made['steps']} steps"
    say(f"{count} samples of {size} (channels first), {made['weights']} weights of step {made['step']}")
    say(f"{made['sampler']}, {grid}: NFE {made['nfe']:g} a sample, {seconds:.1f} s in all")


@dataclass
class Calls:
    samples: int = 0  # that the network has been evaluated for


@contextmanager
def evaluations(model: "nn.Module") -> Iterator[Calls]:
    """Counts what the network is really asked for, inside: some samplers go by their error."""
    calls = Calls()

    def count(module: object, arguments: tuple["Tensor", ...]) -> None:
        calls.samples += len(arguments[0])

    handle = model.register_forward_pre_hook(count)
    try:
        yield calls
    finally:
        handle.remove()


def refuse_unwritable(out: Path) -> None:
    """Before the sampling, which may take hours."""
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not there.is_dir():
        raise Usage(f"--out {out}: {there} is a file; give a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "may not be written into", str(there))


def sampling_of(recipe: "Recipe", options: Options) -> "Config":
    """How the run samples, with what was typed in its place."""
    from ..recipe import override

    settings = []
    if options.sampler not in (None, recipe.sample.sampler):
        settings += [f'sample.sampler="{options.sampler}"', "sample.options={}"]  # another sampler has other options
    settings += [f"sample.steps={options.steps}", "sample.levels=[]"] if options.steps else []
    settings += [f'sample.grid="{options.grid}"', "sample.levels=[]"] if options.grid else []
    settings += [f"sample.fps={options.fps}"] if options.fps else []
    settings += [f"sample.scale={options.scale}"] if options.scale is not None else []
    for setting in options.settings:
        if not setting.startswith("sample."):
            raise Usage(f"--set {setting}: only sample.* can be set here; the rest is as it was trained")
    return override(recipe, [*settings, *options.settings]).sample


def _shape(shape: tuple[int, ...], options: Options) -> tuple[int, ...]:
    """(c, f, h, w) or (c, h, w) of one sample."""
    channels, *frames, height, width = shape
    if options.frames is not None and not frames:
        raise Usage(f"--frames {options.frames}: the run makes images; leave --frames out")
    frames = [options.frames or n for n in frames]
    return channels, *frames, options.height or height, options.width or width


def _labels(recipe: "Recipe", asked: list[str]) -> list[int]:
    """The labels of classes given by name or number, or of all of them."""
    if not asked:
        return []
    if "label" not in recipe.conditions:
        raise Usage(f"--label {asked[0]}: the run was trained without labels; leave --label out")
    condition = recipe.conditions["label"]
    with usage():
        return [*range(len(condition.names))] if asked == ["all"] else [condition.label_of(name) for name in asked]


def _write(out: Path, samples: "np.ndarray", made: dict[str, Any], rows: list[str], *, still: bool) -> list[Path]:
    """Files of samples (count, f, h, w, 3) and of all of them together; returns the paths worth a look.

    rows: names of the classes, of which the samples show equally many each, one after another.
    """
    from ..files.encode import write_gif, write_mp4
    from ..files.image import write_png
    from ..files.sheet import contact_sheet, film_strip

    fps = made["fps"]
    out.mkdir(parents=True, exist_ok=True)
    for index, frames in enumerate(samples):
        stem, own = out / f"{index:03d}", made | {"index": index}
        own |= {"label": rows[index * len(rows) // len(samples)]} if rows else {}
        if still:
            write_png(stem.with_suffix(".png"), frames[0], own)
        else:
            write_gif(stem.with_suffix(".gif"), frames, fps, own)
            write_mp4(stem.with_suffix(".mp4"), frames, fps, own)
    columns = len(samples) // len(rows) if rows else None
    sheet = contact_sheet(list(samples), columns=columns, labels=rows or None)
    everything = made | {"index": list(range(len(samples)))}
    if still:
        write_png(out / "sheet.png", sheet[0], everything)
        return [out, out / "sheet.png"]
    write_gif(out / "sheet.gif", sheet, fps, everything)
    write_mp4(out / "sheet.mp4", sheet, fps, everything)
    write_png(out / "sheet.png", film_strip(list(samples[:8])), everything)
    return [out, out / "sheet.gif", out / "sheet.mp4", out / "sheet.png"]


def command(**typed: Any) -> None:
    """Draw new videos (GIF and MP4) or pictures (PNG) from a trained run, and a sheet of them all."""
    lists = {name: list(typed[name] or ()) for name in ("settings", "labels")}
    sample(Options(**typed | lists))


command.__signature__ = inspect.signature(Options)  # type: ignore[attr-defined]  # typer reads the options from here
command.__annotations__ = get_type_hints(Options, include_extras=True)
