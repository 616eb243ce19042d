"""`filmgrain evaluate RUN`: how far samples are from data, under a protocol that is written down with the numbers."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from typer import Argument, Option

from .. import __version__
from .compare import between, compare
from .console import progress, say
from .datasets import dataset, name_of
from .drawn import Drawn, files_of, of_folder, of_model
from .errors import Usage, usage
from .flags import Device, Grid, Precision, Sampler, Scale, Steps, Weights
from .further import copies_of, likelihood_of
from .sample import refuse_unwritable

if TYPE_CHECKING:
    from ..data import Dataset
    from ..evaluate.features import Extractor
    from ..evaluate.intervals import Number
    from ..evaluate.measures import Config
    from ..evaluate.protocol import Evaluation
    from ..recipe import Recipe

EXTRACTORS = ("clips32", "i3d", "efficientnet_lite0", "inception", "small28")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What can be typed. How samples are drawn is as in the run's recipe, where it is left out."""

    run: Annotated[Path | None, Argument(help="Folder that `filmgrain train` wrote.")] = None
    against: Annotated[str, Option(help="The run's held_out or train data, or a folder of others.")] = "held_out"
    samples: Annotated[Path | None, Option(help="Folder of samples to measure in place of new ones.")] = None
    count: Annotated[int | None, Option(min=1, help="Samples.  [default: 5000; 500 clips]")] = None
    reference: Annotated[
        int | None, Option(min=1, help="Items of the data, if there are as many.  [default: 10000; 2000 clips]")
    ] = None
    extractor: Annotated[str, Option(help=f"{', '.join(EXTRACTORS)}, or the path of your own.")] = ""
    extractor_file: Annotated[Path | None, Option(help="Its weights, .safetensors or .pth.")] = None
    train_on: Annotated[str, Option(help="Labelled data that small28 learns from: train, or a folder.")] = ""
    measures: Annotated[
        str, Option(help="Some of fd, kid, manifold; of clips also temporal, shapes.  [default: all that apply]")
    ] = ""
    frames: Annotated[int | None, Option(min=2, help="Of clips, samples and data, if not as many as the run's.")] = None
    boundaries: Annotated[str, Option(help="Frames at which pieces of a clip were joined, such as 16,28,40.")] = ""
    prompts: Annotated[
        str, Option(help="Of the samples: the reference's captions, none, or a file with one a line.")
    ] = "reference"
    halves: Annotated[int, Option(help="Random halves that make the intervals; 0 for none.")] = 40
    neighbours: Annotated[int, Option(min=0, help="Samples to show beside the nearest training data; 0 for none.")] = 8
    likelihood: Annotated[int, Option(min=0, help="Held-out items to measure bits per dimension on.")] = 0
    labels: Annotated[str, Option(help="Of the samples: as the reference's, even, or none.")] = "reference"
    scale: Scale = None
    steps: Steps = None
    sampler: Sampler = None
    grid: Grid = None
    seed: Annotated[int, Option(help="Of samples, of the reference's choice and of the halves.")] = 0
    batch: Annotated[
        int | None, Option(min=1, help="Samples at once; memory grows with it.  [default: 64; 16 clips]")
    ] = None
    settings: Annotated[list[str], Option("--set", metavar="KEY=VALUE", help="Such as sample.options.eta=0.5.")] = ()  # type: ignore[assignment]
    device: Device = "auto"
    precision: Precision = "float32"
    weights: Weights = "ema"
    out: Annotated[Path | None, Option(help="File to write.  [default: evaluation.json in the run]")] = None
    compare: Annotated[tuple[Path, Path] | None, Option(metavar="A B", help="Two such files, in place of a run.")] = (
        None
    )
    vary: Annotated[list[str], Option(help="What of the sampling may differ between them, such as steps.")] = ()  # type: ignore[assignment]

    def counted(self, recipe: "Recipe") -> int:
        """Samples to draw."""
        return self.count or (500 if moving(recipe) else 5000)

    def compared(self, recipe: "Recipe", data: "Dataset") -> int:
        """Items of the data that the samples are measured against."""
        return min(self.reference or (2000 if moving(recipe) else 10000), len(data))

    def at_once(self, recipe: "Recipe") -> int:
        return self.batch or (16 if moving(recipe) else 64)


def moving(recipe: "Recipe") -> bool:
    return len(recipe.data.shape) == 4


def evaluate(options: Options) -> "Evaluation":
    """Prints every number with its interval, and writes them with their protocol."""
    from .. import runs
    from ..allocator import keep_freed_memory
    from ..evaluate.pictures import still, whole
    from ..files.fsio import write_text
    from ..recipe import load

    if options.run is None:
        raise Usage("nothing to evaluate; give a run, or --compare with two evaluations")
    keep_freed_memory()
    checkpoint = runs.newest(options.run)  # one for all that follows: the run may be training
    recipe, out = _as_long(load(checkpoint / "recipe.toml"), options), options.out or options.run / "evaluation.json"
    refuse_unwritable(out.parent)
    config = _config(options)
    data = dataset(recipe, options.against)
    extractor = _extractor(options, recipe, data) if config.of_features else None
    clips = moving(recipe) and (extractor is None or extractor.clips)
    config = _checked(options, recipe, config, extractor, clips)
    with usage():
        if extractor:
            config.check(_count(options, recipe, clips), options.compared(recipe, data), extractor.size)
    if options.samples:
        drawn = of_folder(options, recipe, clips)
    else:
        drawn = of_model(options, checkpoint, recipe, data, whole if clips else still)
    evaluation = _measured(options, recipe, data, extractor, config, drawn)
    write_text(out, evaluation.dumps())  # now, since what follows may take long
    _tell(evaluation)
    further = evaluation.further | likelihood_of(options, checkpoint, recipe)
    if extractor and not clips:
        further |= copies_of(options, recipe, extractor, drawn, out)
    evaluation = replace(evaluation, further=further)
    write_text(out, evaluation.dumps())
    say(str(out))
    return evaluation


def _as_long(recipe: "Recipe", options: Options) -> "Recipe":
    """With as many frames as are asked for."""
    if options.frames is None:
        return recipe
    if not moving(recipe):
        raise Usage(f"--frames {options.frames}: the run makes images; leave --frames out")
    return replace(recipe, data=replace(recipe.data, frames=options.frames))


def _config(options: Options) -> "Config":
    """What is to be measured, as far as it was typed."""
    from ..evaluate.measures import MEASURES, Config

    boundaries = options.boundaries.split(",") if options.boundaries else []
    if wrong := [text for text in boundaries if not text.strip().isdecimal()]:
        raise Usage(f'--boundaries: "{wrong[0]}" is not the number of a frame; use such as 16,28,40')
    measures = tuple(options.measures.split(",")) if options.measures else tuple(MEASURES)
    with usage():
        return Config(
            measures=measures, halves=options.halves, seed=options.seed, boundaries=tuple(map(int, boundaries))
        )


def _checked(
    options: Options, recipe: "Recipe", config: "Config", extractor: "Extractor | None", clips: bool
) -> "Config":
    """The config with all that applies, if nothing was typed; refused, where it does not fit what is measured."""
    from ..evaluate import clips as of_clips
    from ..evaluate.measures import OF_CLIPS
    from ..rooms import name_of as format_of

    if not clips:
        if wrong := [name for name in config.measures if name in OF_CLIPS] or ["--boundaries"] * bool(
            config.boundaries
        ):
            raise Usage(
                f"{wrong[0]} is of whole clips, and these are pictures; give a run of clips, without --extractor"
            )
        return config
    frames = recipe.data.shape[1]
    if not options.measures:
        shapes = format_of(recipe.data) == "moving_shapes" and recipe.data.shapes == 1
        applies = {"temporal": frames > 2, "shapes": shapes}
        config = replace(config, measures=(*config.measures, *(name for name, fits in applies.items() if fits)))
    with usage():
        of_clips.check(config, frames, extractor)
    return config


def _measured(
    options: Options,
    recipe: "Recipe",
    data: "Dataset",
    extractor: "Extractor | None",
    config: "Config",
    drawn: Drawn,
) -> "Evaluation":
    from ..evaluate import clips
    from ..evaluate.measures import clouds, measure, named, protocol
    from ..evaluate.pictures import of_data, still, whole
    from ..evaluate.protocol import Evaluation

    most, count = options.compared(recipe, data), len(drawn.pictures)
    pictures = of_data(data, range(most), options.seed, whole if drawn.pictures.ndim == 5 else still)
    with progress("looking at the samples") as bar:
        asked = clips.spaces(config, extractor, samples=True)
        samples = clouds(asked, iter(drawn.pictures.split(options.at_once(recipe))), count, bar)
    with progress("looking at the data") as bar:
        reference = clouds(clips.spaces(config, extractor), pictures, most, bar)
    numbers: dict[str, Number] = {}
    with progress("measuring") as bar:
        if extractor:
            numbers = named(measure(samples["features"], reference["features"], config, bar), extractor)
        beside, further = clips.measure(samples, reference, config, _understood(drawn, config))
    made = {"filmgrain": __version__, **drawn.made, "against": options.against}
    made |= {"extractor": extractor.about if extractor else ""}
    how = protocol(extractor, samples, reference, config) | _of_data(options, recipe, drawn)
    return Evaluation(protocol=how, sampling=drawn.sampling, made=made, numbers=numbers | beside, further=further)


def _understood(drawn: Drawn, config: "Config") -> Sequence[str] | None:
    """The captions, if samples can be held against them."""
    from ..evaluate.truth import said

    try:
        for caption in drawn.captions or () if "shapes" in config.measures else ():
            said(caption)
    except ValueError as error:
        say(f"warning: nothing is said of whether samples are as asked for: {error}")
        return None
    return drawn.captions


def _count(options: Options, recipe: "Recipe", clips: bool) -> int:
    return len(files_of(options.samples, clips)) if options.samples else options.counted(recipe)


def _extractor(options: Options, recipe: "Recipe", data: "Dataset") -> "Extractor":
    """As asked; else clips32 for clips, small28 for grey data with labels, and efficientnet_lite0 for others."""
    from ..rooms import find
    from ..training.place import Place

    name, train_on = options.extractor.replace("-", "_"), options.train_on
    if not name and moving(recipe):
        name = "small28" if train_on else "clips32"
    elif not name:
        small = recipe.data.shape[0] == 1 and getattr(data, "classes", None)
        name, train_on = ("small28", train_on or "train") if small else ("efficientnet_lite0", train_on)
    labelled = dataset(recipe, train_on) if train_on else None
    with usage(), progress(f"training {name}") as bar:
        load = find("evaluate.features", name).load
        called = name_of(recipe, train_on) if train_on else ""
        extractor = load(file=options.extractor_file, data=labelled, called=called, progress=bar)
    if extractor.clips and not moving(recipe):
        raise Usage(f"--extractor {name} takes clips, and the run makes images; leave --extractor out")
    extractor.network.to(Place.choose(options.device, "float32").device)
    return extractor


def _of_data(options: Options, recipe: "Recipe", drawn: Drawn) -> dict[str, Any]:
    """What of the protocol the data decide."""
    from ..data.split import SPLITS

    channels, *frames, height, width = recipe.data.shape
    shown = f"one of {frames[0]} frames of each clip, at random" if frames else "pictures"
    if drawn.pictures.ndim == 5:
        shown = f"clips of {frames[0]} frames"
    split = options.against if options.against in SPLITS else "a folder"
    return {"split": split, "size": f"{channels}x{height}x{width}", "frames": shown}


def _tell(evaluation: "Evaluation") -> None:
    how, made, sampling = evaluation.protocol, evaluation.made, evaluation.sampling
    if "run" in made:
        say(f"{how['samples']} samples, {sampling['weights']} weights of step {made['step']}")
        say(f"{sampling['sampler']}: NFE {made['nfe']:g} a sample, {made['seconds']:.1f} s in all")
    else:
        say(f"{how['samples']} samples of {made['samples']}")
    say(f"against {how['reference']} of {made['against']}; {how['resize']}; seed {how['seed']}")
    if how["extractor"] != "none":
        say(f"{how['extractor']}{': ' if made['extractor'] else ''}{made['extractor']}; {how['comparable']}")
    for name, number in evaluation.numbers.items():
        biased = name.startswith(("fd", "fid", "fvd")) and number.halves
        bias = f"; {number.unbiased:.4g} for unlimited samples" if biased else ""
        say(f"{name}: {number.value:.4g}{between(number)}{bias}")


def command(**typed: Any) -> None:
    """Measure how far samples of a run are from data; or compare two such evaluations."""
    options = Options(**typed | {name: list(typed[name] or ()) for name in ("settings", "vary")})
    if options.compare:
        compare(*options.compare, options.vary)
    else:
        evaluate(options)


command.__signature__ = inspect.signature(Options)  # type: ignore[attr-defined]  # typer reads the options from here
command.__annotations__ = get_type_hints(Options, include_extras=True)
