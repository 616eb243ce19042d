"""`filmgrain evaluate RUN`: how far samples are from data, under a protocol that is written down with the numbers."""

import inspect
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from typer import Argument, Option

from .. import __version__
from .compare import between, compare
from .console import progress, say, steps_of
from .datasets import dataset, name_of, unflipped
from .errors import Usage, usage
from .sample import Options as Sampled
from .sample import evaluations, refuse_unwritable, sampling_of

if TYPE_CHECKING:
    from torch import Tensor

    from ..data import Dataset
    from ..evaluate.features import Extractor
    from ..evaluate.measures import Config
    from ..evaluate.protocol import Evaluation
    from ..recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Options:
    """What can be typed. How samples are drawn is as in the run's recipe, where it is left out."""

    run: Annotated[Path | None, Argument(help="Folder that `filmgrain train` wrote.")] = None
    against: Annotated[str, Option(help="The run's held_out or train data, or a folder of others.")] = "held_out"
    samples: Annotated[Path | None, Option(help="Folder of pictures to measure in place of new samples.")] = None
    count: Annotated[int, Option(min=1, help="Samples.")] = 5000
    reference: Annotated[int, Option(min=1, help="Pictures of the data, if there are as many.")] = 10000
    extractor: Annotated[str, Option(help="efficientnet_lite0, inception, small28, or the path of your own.")] = ""
    extractor_file: Annotated[Path | None, Option(help="Its weights, .safetensors or .pth.")] = None
    train_on: Annotated[str, Option(help="Labelled data that small28 learns from: train, or a folder.")] = ""
    measures: Annotated[str, Option(help="Of fd, kid and manifold, some.")] = "fd,kid,manifold"
    halves: Annotated[int, Option(help="Random halves that make the intervals; 0 for none.")] = 40
    neighbours: Annotated[int, Option(min=0, help="Samples to show beside the nearest training data; 0 for none.")] = 8
    likelihood: Annotated[int, Option(min=0, help="Held-out items to measure bits per dimension on.")] = 0
    labels: Annotated[str, Option(help="Of the samples: as the reference's, even, or none.")] = "reference"
    scale: Annotated[float | None, Option(help="Of guidance towards the label; 1 is none.")] = None
    steps: Annotated[int | None, Option(min=1, help="Sampling steps.")] = None
    sampler: Annotated[str | None, Option(help="ddim, heun, dpmpp_2m ... or the dotted path of your own.")] = None
    grid: Annotated[str | None, Option(help="Of noise levels: uniform, karras, logsnr, trailing ...")] = None
    seed: Annotated[int, Option(help="Of samples, of the reference's choice and of the halves.")] = 0
    batch: Annotated[int, Option(min=1, help="Samples at once; memory grows with it.")] = 64
    settings: Annotated[list[str], Option("--set", metavar="KEY=VALUE", help="Such as sample.options.eta=0.5.")] = ()  # type: ignore[assignment]
    device: Annotated[str, Option(help="cuda, mps, cpu, or auto: the first of these that is there.")] = "auto"
    precision: Annotated[str, Option(help="float32, bfloat16, or auto: bfloat16 where it is fast.")] = "float32"
    weights: Annotated[str, Option(help="ema, the average over training, or raw.")] = "ema"
    out: Annotated[Path | None, Option(help="File to write.  [default: evaluation.json in the run]")] = None
    compare: Annotated[tuple[Path, Path] | None, Option(metavar="A B", help="Two such files, in place of a run.")] = (
        None
    )
    vary: Annotated[list[str], Option(help="What of the sampling may differ between them, such as steps.")] = ()  # type: ignore[assignment]


@dataclass(frozen=True)
class Drawn:
    """What is measured: pictures as bytes (n, 3, h, w), how they were sampled, and of what."""

    pictures: "Tensor"
    sampling: dict[str, Any]
    made: dict[str, Any]


def evaluate(options: Options) -> "Evaluation":
    """Prints every number with its interval, and writes them with their protocol."""
    from .. import runs
    from ..allocator import keep_freed_memory
    from ..evaluate.measures import Config
    from ..files.fsio import write_text
    from ..recipe import load

    if options.run is None:
        raise Usage("nothing to evaluate; give a run, or --compare with two evaluations")
    keep_freed_memory()
    checkpoint = runs.newest(options.run)  # one for all that follows: the run may be training
    recipe, out = load(checkpoint / "recipe.toml"), options.out or options.run / "evaluation.json"
    refuse_unwritable(out.parent)
    with usage():
        config = Config(measures=tuple(options.measures.split(",")), halves=options.halves, seed=options.seed)
    data = dataset(recipe, options.against)
    extractor = _extractor(options, recipe, data)
    with usage():
        config.check(_count(options), min(options.reference, len(data)), extractor.size)
    drawn = _of_folder(options, recipe) if options.samples else _of_model(options, checkpoint, recipe, data)
    evaluation = _measured(options, recipe, data, extractor, config, drawn)
    write_text(out, evaluation.dumps())  # now, since what follows may take long
    _tell(evaluation)
    further = _likelihood(options, checkpoint, recipe) | _memorisation(options, recipe, extractor, drawn, out)
    evaluation = replace(evaluation, further=further)
    write_text(out, evaluation.dumps())
    say(str(out))
    return evaluation


def _measured(
    options: Options, recipe: "Recipe", data: "Dataset", extractor: "Extractor", config: "Config", drawn: Drawn
) -> "Evaluation":
    from ..evaluate.measures import cloud, measure, named, protocol
    from ..evaluate.pictures import of_data
    from ..evaluate.protocol import Evaluation

    most = min(options.reference, len(data))
    with progress("features of the samples") as bar:
        samples = cloud(extractor, iter(drawn.pictures.split(options.batch)), len(drawn.pictures), bar)
    with progress("features of the data") as bar:
        reference = cloud(extractor, of_data(data, range(most), options.seed), most, bar)
    with progress("measuring") as bar:
        numbers = named(measure(samples, reference, config, bar), extractor)
    made = {"filmgrain": __version__, **drawn.made, "against": options.against, "extractor": extractor.about}
    how = protocol(extractor, samples, reference, config) | _of_data(options, recipe)
    return Evaluation(protocol=how, sampling=drawn.sampling, made=made, numbers=numbers)


def _count(options: Options) -> int:
    from ..evaluate.pictures import in_folder

    return len(in_folder(options.samples)) if options.samples else options.count


def _extractor(options: Options, recipe: "Recipe", data: "Dataset") -> "Extractor":
    """As asked; else small28 for grey data with labels, trained on the run's own, and efficientnet_lite0 for others."""
    from ..rooms import find
    from ..training.place import Place

    name, train_on = options.extractor.replace("-", "_"), options.train_on
    if not name:
        small = recipe.data.shape[0] == 1 and getattr(data, "classes", None)
        name, train_on = ("small28", train_on or "train") if small else ("efficientnet_lite0", train_on)
    labelled = dataset(recipe, train_on) if train_on else None
    with usage(), progress(f"training {name}") as bar:
        load = find("evaluate.features", name).load
        called = name_of(recipe, train_on) if train_on else ""
        extractor = load(file=options.extractor_file, data=labelled, called=called, progress=bar)
    extractor.network.to(Place.choose(options.device, "float32").device)
    return extractor


def _of_folder(options: Options, recipe: "Recipe") -> Drawn:
    import torch

    from ..evaluate.pictures import of_folder

    assert options.samples is not None
    height, width = recipe.data.shape[-2:]
    pictures = torch.cat([*of_folder(options.samples, (height, width))])
    return Drawn(pictures, {"pictures": "of a folder"}, {"samples": str(options.samples)})


def _of_model(options: Options, checkpoint: Path, recipe: "Recipe", data: "Dataset") -> Drawn:
    import torch

    from .. import runs
    from ..evaluate.pictures import of_samples
    from ..generate.deep_cache import cached
    from ..generate.sampling import warnings
    from ..generate.videos import batches
    from ..training.checkpoint import read_state

    known = {name: getattr(options, name) for name in ("sampler", "steps", "grid", "scale", "settings")}
    config = sampling_of(recipe, Sampled(run=checkpoint, **known))
    given = _labels(options, recipe, data)
    with usage():
        model = runs.load_checkpoint(
            checkpoint, weights=options.weights, device=options.device, precision=options.precision
        )
        config.grid_of(model.schedule)  # refuses what the schedule cannot do
        cached(model, config.cache)  # and what the network cannot
    say(*(f"warning: {sentence}" for sentence in warnings(recipe.diffusion, config)))
    how: dict[str, Any] = {"seed": options.seed, "config": config, "batch": options.batch, "given": given}
    start = time.monotonic()
    with progress("sampling") as bar, evaluations(model) as calls:
        drawn = batches(model, options.count, watch=steps_of(bar, options.count * config.intervals), **how)
        pictures = torch.cat([part for ids, x in drawn for part in of_samples(x, options.seed, ids.start)])
    sampling = {name: value for name, value in asdict(config).items() if name != "fps"}
    sampling |= {"weights": options.weights, "precision": str(model.precision).removeprefix("torch.")}
    sampling |= {"labels": options.labels if given else "none"}
    made = {"run": str(options.run), "step": read_state(checkpoint).step, "nfe": calls.samples / options.count}
    made |= {"seconds": round(time.monotonic() - start, 1)}
    return Drawn(pictures, sampling, made)


def _labels(options: Options, recipe: "Recipe", data: "Dataset") -> dict[str, list[int]]:
    """Of each sample: as the reference's items have them, or each class in turn."""
    from ..data.loader import Loader

    if options.labels not in ("reference", "even", "none"):
        raise Usage(f"--labels {options.labels}: use reference, even or none")
    if "label" not in recipe.conditions or options.labels == "none":
        return {}
    names, classes = recipe.conditions["label"].names, getattr(data, "classes", None)
    if options.labels == "even":
        return {"label": [n % len(names) for n in range(options.count)]}
    if classes is None or tuple(classes) != tuple(names):
        has = f"the classes {', '.join(classes[:4])}{' ...' * (len(classes) > 4)}" if classes else "no labels"
        raise Usage(
            f"{options.against} has {has}, and the run the classes {', '.join(names[:4])}{' ...' * (len(names) > 4)}; "
            "give data of the same classes, or --labels even"
        )
    loader, most = Loader(data, batch=1, seed=options.seed), min(options.reference, len(data))
    return {"label": [int(loader.draw(n % most)["label"]) for n in range(options.count)]}


def _of_data(options: Options, recipe: "Recipe") -> dict[str, Any]:
    """What of the protocol the data decide."""
    from ..data.split import SPLITS

    channels, *frames, height, width = recipe.data.shape
    shown = f"one of {frames[0]} frames of each clip, at random" if frames else "pictures"
    split = options.against if options.against in SPLITS else "a folder"
    return {"split": split, "size": f"{channels}x{height}x{width}", "frames": shown}


def _likelihood(options: Options, checkpoint: Path, recipe: "Recipe") -> dict[str, Any]:
    """Bits per dimension of data held out."""
    if not options.likelihood:
        return {}
    from .. import runs
    from ..evaluate.likelihood import Config, likelihood

    model = runs.load_checkpoint(checkpoint, weights=options.weights, device=options.device)
    with usage(), progress("bits per dimension") as bar:
        config = Config(items=options.likelihood, seed=options.seed)
        found = likelihood(model, dataset(recipe, "held_out"), config, batch=options.batch, progress=bar)
    say(str(found))
    return {"likelihood": found.row()}


def _memorisation(
    options: Options, recipe: "Recipe", extractor: "Extractor", drawn: Drawn, out: Path
) -> dict[str, Any]:
    """The nearest training data, as a picture beside the numbers."""
    if not options.neighbours:
        return {}
    from .. import runs
    from ..evaluate.memorisation import memorisation, sheet
    from ..files.image import write_png

    train, held_out = (runs.datasets(unflipped(recipe))[split] for split in ("train", "held_out"))
    mirrored = getattr(recipe.data, "flip", False)
    with progress("nearest training data") as bar:
        found = memorisation(
            drawn.pictures, train, held_out, extractor, seed=options.seed, mirrored=mirrored, progress=bar
        )
    picture = out.with_name(f"{out.stem}-neighbours.png")
    write_png(picture, sheet(found, train, options.neighbours))
    say(*(f"memorisation, {space}: {verdict}" for space, verdict in found.copying.items()))
    say(str(picture))
    return {"memorisation": found.row()}


def _tell(evaluation: "Evaluation") -> None:
    how, made, sampling = evaluation.protocol, evaluation.made, evaluation.sampling
    if "run" in made:
        say(f"{how['samples']} samples, {sampling['weights']} weights of step {made['step']}")
        say(f"{sampling['sampler']}: NFE {made['nfe']:g} a sample, {made['seconds']:.1f} s in all")
    else:
        say(f"{how['samples']} samples of {made['samples']}")
    say(f"against {how['reference']} of {made['against']}; {how['resize']}; seed {how['seed']}")
    say(f"{how['extractor']}{': ' if made['extractor'] else ''}{made['extractor']}; {how['comparable']}")
    for name, number in evaluation.numbers.items():
        bias = (
            f"; {number.unbiased:.4g} for unlimited samples" if name.startswith(("fd", "fid")) and number.halves else ""
        )
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
