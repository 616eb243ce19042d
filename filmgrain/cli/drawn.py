"""What `filmgrain evaluate` measures: new samples of a run, or those of a folder; and what was said of each."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import progress, steps_of
from .errors import Usage, usage
from .sample import Options as Sampled
from .sample import evaluations, sampling_of, warn
from .wishes import read_prompts

if TYPE_CHECKING:
    from torch import Tensor

    from ..data import Dataset
    from ..evaluate.pictures import Show
    from ..recipe import Recipe
    from .evaluate import Options


@dataclass(frozen=True)
class Drawn:
    """Pictures as bytes (n, 3, h, w), or clips (n, 3, f, h, w); how they were sampled, and of what."""

    pictures: "Tensor"
    sampling: dict[str, Any]
    made: dict[str, Any]
    captions: Sequence[str] | None = None  # that the samples were asked for by


def files_of(folder: Path, clips: bool) -> list[Path]:
    """What is measured of a folder. Raises NoData."""
    from ..evaluate.clip_files import clips_in
    from ..evaluate.pictures import in_folder

    return clips_in(folder) if clips else in_folder(folder)


def of_folder(options: "Options", recipe: "Recipe", clips: bool) -> Drawn:
    import torch

    from ..evaluate import clip_files
    from ..evaluate.pictures import of_folder

    assert options.samples is not None
    *frames, height, width = recipe.data.shape[1:]
    if clips:
        parts = clip_files.of_folder(files_of(options.samples, clips), (frames[0], height, width))
    else:
        parts = of_folder(options.samples, (height, width))
    pictures, captions = torch.cat([*parts]), None
    if options.prompts not in ("reference", "none"):
        captions = _lines(Path(options.prompts), len(pictures))
    sampling = {"pictures": "of a folder", **({"prompts": options.prompts} if captions else {})}
    return Drawn(pictures, sampling, {"samples": str(options.samples)}, captions)


def of_model(options: "Options", checkpoint: Path, recipe: "Recipe", data: "Dataset", show: "Show") -> Drawn:
    import torch

    from .. import runs
    from ..evaluate.pictures import of_samples
    from ..generate.deep_cache import cached
    from ..generate.videos import batches
    from ..training.checkpoint import read_state

    known = {name: getattr(options, name) for name in ("sampler", "steps", "grid", "scale", "settings")}
    config, count = sampling_of(recipe, Sampled(run=checkpoint, **known)), options.counted(recipe)
    with usage():
        model = runs.load_checkpoint(
            checkpoint, weights=options.weights, device=options.device, precision=options.precision
        )
        config.grid_of(model.schedule)  # refuses what the schedule cannot do
        cached(model, config.cache)  # and what the network cannot
    given, said = _given(options, recipe, data, [condition.key for condition in model.conditions])
    warn(recipe, config)
    how: dict[str, Any] = {"seed": options.seed, "config": config, "batch": options.at_once(recipe), "given": given}
    start, step = time.monotonic(), read_state(checkpoint).step  # a run that trains on may drop this checkpoint
    with progress("sampling") as bar, evaluations(model) as calls:
        drawn = batches(model, count, shape=recipe.data.shape, watch=steps_of(bar, count * config.intervals), **how)
        pictures = torch.cat([part for ids, x in drawn for part in of_samples(x, options.seed, ids.start, show)])
    sampling = {name: value for name, value in asdict(config).items() if name != "fps"} | said
    sampling |= {"weights": options.weights, "precision": str(model.precision).removeprefix("torch.")}
    made = {"run": str(options.run), "step": step, "nfe": calls.samples / count}
    made |= {"seconds": round(time.monotonic() - start, 1)}
    return Drawn(pictures, sampling, made, given.get("caption"))


def _given(
    options: "Options", recipe: "Recipe", data: "Dataset", keys: list[str]
) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """What is said of each sample, and how that is named with the numbers."""
    if options.labels not in ("reference", "even", "none"):
        raise Usage(f"--labels {options.labels}: use reference, even or none")
    labels = _labels(options, recipe, data) if "label" in keys else {}
    captions = _captions(options, recipe, data) if "caption" in keys else {}
    if options.prompts not in ("reference", "none") and "caption" not in keys:
        raise Usage(f"--prompts {options.prompts}: the run was trained without captions; leave --prompts out")
    said = {"labels": options.labels if labels else "none"}
    return labels | captions, said | ({"prompts": options.prompts if captions else "none"} if "caption" in keys else {})


def _captions(options: "Options", recipe: "Recipe", data: "Dataset") -> dict[str, list[str]]:
    """Those of the reference's items, or the lines of a file."""
    from ..data.loader import Loader

    count, most = options.counted(recipe), options.compared(recipe, data)
    if options.prompts == "none":
        return {}
    if options.prompts != "reference":
        return {"caption": _lines(Path(options.prompts), count)}
    loader = Loader(data, batch=1, seed=options.seed)
    captions = [loader.draw(n % most).get("caption", "") for n in range(count)]
    if not all(captions):
        raise Usage(f"{options.against} has items without a caption to ask for; give a file of --prompts, or none")
    return {"caption": captions}


def _lines(path: Path, count: int) -> list[str]:
    """The captions of `count` samples, a line each, from the first again where there are fewer lines."""
    if not path.is_file():
        raise Usage(f"--prompts {path}: use reference, none, or a file with a prompt a line")
    lines = read_prompts(path, "--prompts")
    return [lines[n % len(lines)] for n in range(count)]


def _labels(options: "Options", recipe: "Recipe", data: "Dataset") -> dict[str, list[int]]:
    """Of each sample: as the reference's items have them, or each class in turn."""
    from ..data.loader import Loader

    count, most = options.counted(recipe), options.compared(recipe, data)
    if options.labels == "none":
        return {}
    names, classes = recipe.conditions["label"].names, getattr(data, "classes", None)
    if options.labels == "even":
        return {"label": [n % len(names) for n in range(count)]}
    if classes is None or tuple(classes) != tuple(names):
        has = f"the classes {', '.join(classes[:4])}{' ...' * (len(classes) > 4)}" if classes else "no labels"
        raise Usage(
            f"{options.against} has {has}, and the run the classes {', '.join(names[:4])}{' ...' * (len(names) > 4)}; "
            "give data of the same classes, or --labels even"
        )
    loader = Loader(data, batch=1, seed=options.seed)
    return {"label": [int(loader.draw(n % most)["label"]) for n in range(count)]}
