"""What `extend`, `interpolate`, `upscale` and `inpaint` have in common: flags, the clip read, the file written."""

import inspect
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from typer import Option

from .. import __version__
from .console import progress, say
from .errors import Usage, usage
from .flags import Device, Grid, Precision, RunFolder, Sampler, Scale, Stated, Steps, Weights
from .sample import sampling_of
from .wishes import given, stated, wishes

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ..generate.conditional import Conditional, Given
    from ..generate.sampling import Config
    from ..model import DiffusionModel
    from ..recipe import Recipe

TUNED_ON = 8  # held-out clips


@dataclass(frozen=True, kw_only=True)
class Options:
    """What can be typed. What is left out is as in the run's recipe."""

    run: RunFolder
    out: Annotated[Path | None, Option(help="File to write (.gif or .mp4); by default beside the clip.")] = None
    method: Annotated[str, Option(help="replacement, guidance, both, or covariance.")] = "both"
    weight: Annotated[float | None, Option(help="w_r of guidance.", show_default="3")] = None
    overlap: Annotated[int, Option(min=0, help="Frames a block takes over; 0: half of the model's.")] = 0
    tune: Annotated[bool, Option("--tune", help="Choose the weight on held-out clips of the run's data.")] = False
    prompt: Annotated[str, Option(metavar="TEXT", help="What is shown, of a run with captions.")] = ""
    negative: Annotated[str, Option(metavar="TEXT", help="What is not shown.")] = ""
    label: Annotated[str, Option(metavar="NAME", help="Its class, of a run with labels.")] = ""
    given: Stated = ()  # type: ignore[assignment]
    scale: Scale = None
    steps: Steps = None
    sampler: Sampler = None
    grid: Grid = None
    seed: Annotated[int, Option(help="The same seed gives the same video.")] = 0
    fps: Annotated[float | None, Option(min=0.1, max=1000, help="Frames a second of the file.")] = None
    settings: Annotated[list[str], Option("--set", metavar="KEY=VALUE", help="Such as sample.options.gamma=0.")] = ()  # type: ignore[assignment]
    device: Device = "auto"
    precision: Precision = "float32"
    weights: Weights = "ema"


@dataclass(frozen=True)
class Session:
    """A run opened for what was typed."""

    options: Any
    model: "DiffusionModel"
    recipe: "Recipe"
    config: "Config"
    how: "Conditional"
    said: dict[str, list[Any]]  # of the one video

    @property
    def call(self) -> dict[str, Any]:
        """What every function of generate/ for this takes."""
        return {"how": self.how, "config": self.config, "seed": self.options.seed, "given": self.said}

    def read(self, path: Path, *, size: tuple[int, int] | None = None, paced: bool = False) -> "tuple[Tensor, float]":
        """A clip as the model's data (c, f, h, w), and its frames a second. What is done to it is told in a line.

        size: height and width, the model's by default. paced: its frames are chosen as those of the run's clips were,
        every so many, or so many a second.
        """
        from ..data.given import as_data, read_frames
        from ..files.video import probe

        clip, frames = read_frames(path, size or self.model.shape)
        chosen, fps = _paced(clip.times, clip.duration, self.recipe.data) if paced else (slice(None), clip.fps)
        taken = as_data(frames[chosen], self.model.shape[0])
        info = probe(path)
        there = _described((len(clip.frames), info.height, info.width), clip.fps)
        say(f"{path}: {there}, taken as {_described(frames[chosen].shape, fps)}")
        return taken, fps or self.config.fps

    @property
    def by(self) -> str:
        """The method, as it is told."""
        weight = f", w_r = {self.how.weight:g}" if self.how.guides and self.how.method != "covariance" else ""
        return f"{self.how.method}{weight}"

    def write(
        self, blocks: "Iterator[Tensor]", out: Path, total: int, fps: float, *, backwards: bool = False, by: str = ""
    ) -> None:
        """The first video of each block (b c f h w), as it comes; backwards: the last block is the first to be seen."""
        from contextlib import ExitStack

        from ..files.stream import reversing, streaming
        from ..generate.videos import to_uint8

        start, done = time.monotonic(), 0
        made = {"filmgrain": __version__, "command": type(self.options).__name__.lower()}
        made |= {key: str(value) for key, value in asdict(self.options).items() if value not in (None, "", ())}
        out.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack, usage():
            add = stack.enter_context(streaming(out, fps, made | asdict(self.how) | asdict(self.config)))
            add = stack.enter_context(reversing(add)) if backwards else add
            bar = stack.enter_context(progress("drawing"))
            for block in blocks:
                frames = to_uint8(block[:1]).numpy()[0]
                add(frames.repeat(3 // frames.shape[-1], axis=-1))
                done += len(frames)
                bar(done, total)
        say(f"{done} frames by {by or self.by}: {self.config.sampler}, {self.config.intervals} steps a block")
        say(f"{time.monotonic() - start:.1f} s", str(out))


def opened(options: Any, known: "Callable[[Tensor, Session], Given]") -> Session:
    """The run of these options. known: of held-out clips what the command would be given, for --tune."""
    from .. import runs
    from ..generate.conditional import Conditional
    from ..recipe import load

    checkpoint = runs.newest(options.run)
    recipe = load(checkpoint / "recipe.toml")
    said = stated(recipe, options.given)
    asked = wishes(recipe, [options.label] if options.label else [], [options.prompt] if options.prompt else [])
    if (options.scale not in (None, 1) or options.negative) and not asked:
        raise Usage("guidance leads towards a label or a prompt, and none is given; add --label NAME or --prompt TEXT")
    with usage():
        weight = {} if options.weight is None else {"weight": options.weight}
        how = Conditional(method=options.method, overlap=options.overlap, **weight)
        config = sampling_of(recipe, options)
        model = runs.load_checkpoint(
            checkpoint, weights=options.weights, device=options.device, precision=options.precision
        )
    session = Session(options, model, recipe, config, how, given(recipe, asked, 1) | said)
    return replace(session, how=_tuned(session, known)) if options.tune else session


def _tuned(session: Session, known: "Callable[[Tensor, Session], Given]") -> "Conditional":
    """The same with the weight that does best on held-out clips; a line for each that is tried."""
    from .. import runs
    from ..data.loader import Loader
    from ..generate.tune import best, tune

    data = runs.datasets(session.recipe)["held_out"]
    if not len(data):
        raise Usage("--tune needs held-out clips, and the run's data have none; set data.held_out, or give --weight")
    items = next(Loader(data, batch=min(TUNED_ON, len(data)), seed=0).batches())
    keys = [condition.key for condition in session.model.conditions if condition.key in session.said]
    said = {key: list(items[key]) for key in keys}
    call = session.call | {"given": said}
    with usage():
        trials = tune(session.model, items["x"], lambda clips: known(clips, session), **call)
        chosen = best(trials)
    say(f"{'w_r':>6}  {'error':>7}  {'jump':>6}    of {len(items['x'])} held-out clips")
    for trial in trials:
        say(f"{trial.weight:6g}  {trial.error:7.4f}  {trial.jump:6.2f}{'  chosen' if trial is chosen else ''}")
    return replace(session.how, weight=chosen.weight)


def beside(path: Path, word: str) -> Path:
    return path.with_name(f"{path.stem}-{word}.{'mp4' if path.suffix.lower() == '.mp4' else 'gif'}")


def command_of(options: type, body: Callable[[Any], None]) -> Callable[..., None]:
    """The function that typer makes a command of: its flags are the fields of `options`."""

    def command(**typed: Any) -> None:
        body(options(**typed | {name: list(typed[name] or ()) for name in ("settings", "given")}))

    command.__doc__ = body.__doc__
    command.__signature__ = inspect.signature(options)  # type: ignore[attr-defined]  # typer reads the options from here
    command.__annotations__ = get_type_hints(options, include_extras=True)
    return command


def _paced(times: "np.ndarray", duration: float, data: Any) -> "tuple[np.ndarray, float]":
    """The frames that are as far apart as those of the run's clips, and how many a second they are."""
    import numpy as np

    native = len(times) / duration if duration else 0.0
    window = getattr(data, "window", None)
    if window is None or not duration:
        return np.arange(len(times)), native
    if window.fps:
        moments = np.arange(0, duration - 1e-6, 1 / window.fps)
        return np.searchsorted(times, moments + 1e-6, side="right") - 1, window.fps
    return np.arange(0, len(times), window.stride), native / window.stride


def _described(shape: tuple[int, ...], fps: float) -> str:
    frames, height, width = shape[:3]
    return f"{frames} frames of {width}x{height}" + (f" at {fps:.4g} fps" if fps else "")
