"""`filmgrain sample [RUN]`: new videos or pictures, each with the recipe that made it inside."""

import errno
import inspect
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from typer import Argument, Option

from .. import __version__
from .album import Album
from .chain import Chain
from .console import progress, say, steps_of
from .errors import Usage, usage
from .flags import Device, Grid, Precision, Sampler, Scale, Stated, Steps, Weights
from .wishes import Wish, given, heard, read_prompts, slug, stated, wishes

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from ..generate.sampling import Config
    from ..model import DiffusionModel
    from ..recipe import Recipe
    from ..samplers import Step

USUAL, PROMPTED = 16, 4  # samples in all, and of each prompt, where no count is given


@dataclass(frozen=True, kw_only=True)
class Options:
    """What can be typed. What is left out is as in the run's recipe."""

    run: Annotated[
        Path | None, Argument(help="Folder that `filmgrain train` wrote; left out: the model that came with filmgrain.")
    ] = None
    count: Annotated[
        int | None,
        Option(min=1, help="Samples, of each label or prompt if any is given.", show_default="16; 4 a prompt"),
    ] = None
    labels: Annotated[list[str], Option("--label", metavar="NAME", help="A class, or all; may be given again.")] = ()  # type: ignore[assignment]
    prompts: Annotated[list[str], Option("--prompt", metavar="TEXT", help="What to show; may be given again.")] = ()  # type: ignore[assignment]
    prompts_file: Annotated[Path | None, Option(help="Text with a prompt a line.")] = None
    negative: Annotated[str, Option(metavar="TEXT", help="What not to show: guidance leads away from it.")] = ""
    given: Stated = ()  # type: ignore[assignment]
    scale: Scale = None
    steps: Steps = None
    sampler: Sampler = None
    grid: Grid = None
    seed: Annotated[int, Option(help="The same seed gives the same samples.")] = 0
    out: Annotated[Path | None, Option(help="Folder to write to; by default samples/ of the run.")] = None
    frames: Annotated[int | None, Option(min=1, help="Frames of a video.")] = None
    height: Annotated[int | None, Option(min=1, help="Pixels.")] = None
    width: Annotated[int | None, Option(min=1, help="Pixels.")] = None
    batch: Annotated[int, Option(min=1, help="Samples at once; memory grows with it.")] = 8
    fps: Annotated[float | None, Option(min=0.1, max=1000, help="Frames a second of the files.")] = None
    settings: Annotated[list[str], Option("--set", metavar="KEY=VALUE", help="Such as sample.options.eta=0.5.")] = ()  # type: ignore[assignment]
    strip: Annotated[int, Option(min=0, help="Draw the first samples at so many steps of their way too.")] = 0
    device: Device = "auto"
    precision: Precision = "float32"
    weights: Weights = "ema"


def sample(options: Options, see: "Callable[[np.ndarray], object] | None" = None) -> list[Path]:
    """Draws samples and writes them; returns the paths worth a look. see(frames (b, f, h, w, 3)) sees each batch."""
    from .. import runs
    from ..generate.deep_cache import cached
    from ..recipe import load
    from ..training.checkpoint import read_state

    run = options.run or runs.box()
    checkpoint = runs.newest(run)  # one for all that follows: the run may be training
    samples = (options.run or Path()) / "samples"
    refuse_unwritable(options.out or samples)
    recipe = load(checkpoint / "recipe.toml")
    asked, sampling = _wishes(recipe, options), sampling_of(recipe, options)
    said = stated(recipe, options.given)
    with usage():
        model = runs.load_checkpoint(
            checkpoint, weights=options.weights, device=options.device, precision=options.precision
        )
        sampling.grid_of(model.schedule)  # refuses what the schedule cannot do
        cached(model, sampling.cache)  # and what the network cannot
    warn(recipe, sampling)
    made: dict[str, Any] = {"filmgrain": __version__, "run": str(options.run or run.name)}
    made |= {"step": read_state(checkpoint).step, "weights": options.weights}
    made |= {"precision": str(model.precision).removeprefix("torch.")}
    made |= {key: [wish[key] for wish in asked] for key in (asked[0] if asked else ())}
    made |= {"given": list(options.given)} if options.given else {}
    made |= {"seed": options.seed, "shape": list(_shape(model.shape, options)), **asdict(sampling)}
    each = options.count or (PROMPTED if "prompt" in made else USUAL)
    options = replace(options, count=each * max(1, len(asked)), out=options.out or samples / _name(made, sampling))
    return _draw(options, model, sampling, made, given(recipe, asked, each) | said, see)


def warn(recipe: "Recipe", sampling: "Config") -> None:
    """Says what will make samples worse than the model is."""
    from ..generate.sampling import warnings

    found = warnings(recipe.diffusion, sampling)
    if any(getattr(condition, "maps", 0) for condition in recipe.conditions.values()):
        found.append("this model was trained to enlarge, and is given nothing to enlarge here: see filmgrain upscale")
    say(*(f"warning: {sentence}" for sentence in found))


def _draw(
    options: Options,
    model: "DiffusionModel",
    sampling: "Config",
    made: dict[str, Any],
    said: dict[str, list[Any]],
    see: "Callable[[np.ndarray], object] | None",
) -> list[Path]:
    """Batch after batch: while one is drawn, the files of the one before are written."""
    from ..files.background import Background
    from ..generate.videos import batches, to_uint8

    start, count, out = time.monotonic(), options.count, options.out
    assert count is not None and out is not None  # `sample` has chosen them
    chain = Chain(sampling.intervals, options.strip)
    how: dict[str, Any] = {"seed": options.seed, "config": sampling, "batch": options.batch, "given": said}
    with progress("sampling") as bar, evaluations(model) as calls, Background() as later:
        album, moved, before = Album(out, made, count, later), steps_of(bar, count * sampling.intervals), 0

        def watch(ids: range, step: "Step") -> None:
            later.check()  # a full disk is said at once, not when this batch is drawn
            moved(ids, step)

        for ids, x in batches(model, count, shape=tuple(made["shape"]), watch=chain.watch(watch), **how):
            frames = to_uint8(x if x.ndim == 5 else x[:, :, None]).expand(-1, -1, -1, -1, 3).numpy()
            album.add(ids, frames, (calls.samples - before) / len(ids))
            before = calls.samples
            if see is not None:
                see(frames)
        later.wait()
    made |= {"nfe": calls.samples / count}
    _tell(made, count, time.monotonic() - start)
    paths = [*album.finish(made), *chain.write(out, model, made)]
    say(*map(str, paths))
    return paths


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
    from ..recipe_toml import literal

    settings = []
    if options.sampler not in (None, recipe.sample.sampler):
        settings += [f'sample.sampler="{options.sampler}"', "sample.options={}"]  # another sampler has other options
    settings += [f"sample.steps={options.steps}", "sample.levels=[]"] if options.steps else []
    settings += [f'sample.grid="{options.grid}"', "sample.levels=[]"] if options.grid else []
    settings += [f"sample.fps={options.fps}"] if options.fps else []
    settings += [f"sample.scale={options.scale}"] if options.scale is not None else []
    settings += [f"sample.negative={literal(options.negative)}"] if options.negative else []
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


def _wishes(recipe: "Recipe", options: Options) -> list[Wish]:
    """What is typed of the samples; what of it cannot be read is said, and what the run cannot take is refused."""
    prompts = [*options.prompts, *(read_prompts(options.prompts_file) if options.prompts_file else [])]
    found = wishes(recipe, options.labels, prompts)
    if not found and (options.negative or options.scale not in (None, 1)):
        typed = f'--negative "{options.negative}"' if options.negative else f"--scale {options.scale:g}"
        raise Usage(f"{typed} guides towards a label or prompt, and none is given; add --label NAME or --prompt TEXT")
    heard(recipe, [options.negative] if options.negative else [])
    return found


def _name(made: dict[str, Any], sampling: "Config") -> str:
    """Of the folder: how the samples were drawn, and of what if it was said."""
    words = [slug(" ".join(made["prompt"]))] if "prompt" in made else []
    return "-".join(
        [f"step-{made['step']}-{sampling.sampler}-{sampling.intervals}-seed-{made['seed']}", *filter(None, words)]
    )


def command(**typed: Any) -> None:
    """Draw new videos (GIF and MP4) or pictures (PNG) from a trained run, and a sheet of them all."""
    lists = {name: list(typed[name] or ()) for name in ("settings", "labels", "prompts", "given")}
    sample(Options(**typed | lists))


command.__signature__ = inspect.signature(Options)  # type: ignore[attr-defined]  # typer reads the options from here
command.__annotations__ = get_type_hints(Options, include_extras=True)
