"""What a step costs: a few steps of the recipe's own network on its own data, if they fit the machine at all."""

import contextlib
import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

    from ..data import Dataset
    from ..model import DiffusionModel
    from ..recipe import Recipe
    from ..samplers import Step
    from ..training.config import Config
    from ..training.step import Stepper

SECONDS, STEPS = 3.0, 20  # two steps at least, and on until so long or so many have been timed


class Cost(NamedTuple):
    seconds: float  # a step, its data included
    preview: float  # seconds of a preview
    gigabytes: float  # the most that was held
    place: str  # device and precision

    def of_run(self, config: "Config") -> float:
        """Seconds of all steps and previews; what validation and checkpoints take is not known."""
        return config.steps * self.seconds + times_due(config.steps, config.preview_every) * self.preview


def times_due(steps: int, every: int) -> int:
    """How often something is done that is due every so many steps, and at the end; 0 is at the end only."""
    return math.ceil(steps / every) if every else 1


def pace(loading: float, computing: float, workers: int) -> float:
    """Seconds a step where batches are loaded before it, or beside it by workers."""
    return max(computing, loading / workers) if workers else loading + computing


def probe(recipe: "Recipe", data: "dict[str, Dataset]") -> Cost:
    """One step to warm up and at least one that counts, then a batch of validation and the first step of a preview.

    Either may hold more memory than training does. The model is thrown away.
    """
    from ..data.loader import Loader
    from ..runs import build, looked_at, source, task_of
    from ..training.log import memory_gb
    from ..training.observe import observing
    from ..training.place import Place
    from ..training.step import Stepper

    config = recipe.train
    place = Place.choose(config.device, config.precision)
    model = build(recipe).to(place.device).train()
    own, at_once = recipe.task, looked_at(recipe)
    if hasattr(own, "validation"):
        own = replace(own, validation=min(own.validation, at_once))
    task = task_of(replace(recipe, task=own), model, data["held_out"])
    stepper = Stepper(task, config, place)
    batches = Loader(source(task, data["train"]), batch=config.batch, seed=config.seed).batches()
    seconds = pace(*_times(stepper, batches, config.accumulate), config.workers)
    with observing(model, stepper.ema, place):
        task.validate()
        preview = _preview(recipe, model, at_once)
    return Cost(seconds, preview, memory_gb(place.device), str(place))


def _times(stepper: "Stepper", batches: Iterator[dict[str, Any]], accumulate: int) -> tuple[float, float]:
    """Median seconds of loading a step's batches, and of computing it."""
    loading, computing = [], []
    for number in itertools.count():
        start = time.perf_counter()
        drawn = [next(batches) for _ in range(accumulate)]
        loaded = time.perf_counter()
        float(stepper.step(number, [stepper.place.move(batch) for batch in drawn])["loss"])  # waits for the device
        if number:  # the first one warms up
            loading.append(loaded - start)
            computing.append(time.perf_counter() - loaded)
            if sum(loading) + sum(computing) > SECONDS or number == STEPS:
                break
    return median(loading), median(computing)


class _Enough(Exception):
    """The first step of a sample is done."""


def _preview(recipe: "Recipe", model: "DiffusionModel", batch: int) -> float:
    """Seconds of a preview, so many samples at once, as so many times its first step."""
    from ..generate.videos import generate

    wanted = getattr(recipe.task, "previews", 0)
    if not wanted:
        return 0.0
    shown = {condition.key: condition.examples(wanted) for condition in model.conditions}
    given = {key: values for key, values in shown.items() if len(values)}  # a condition may have none of its own

    def watch(ids: range, step: "Step") -> None:
        raise _Enough

    start = time.perf_counter()
    with contextlib.suppress(_Enough):
        generate(model, wanted, config=recipe.sample, batch=batch, given=given, watch=watch)
    intervals = len(recipe.sample.grid_of(model.schedule)) - 1
    return (time.perf_counter() - start) * intervals * math.ceil(wanted / batch)


def kept_gigabytes(recipe: "Recipe") -> float:
    """What a step keeps of its forward pass for the backward one, from shapes alone: no tensor is filled.

    In float32; what shares memory is counted once a use, so that it is rather too much than too little.
    """
    import torch

    from ..training import blocks
    from .flow import blueprint

    model = blueprint(recipe).train()
    blocks.prepare(model, replace(recipe.train, compile=False), torch.device("cpu"))  # train.recompute keeps less
    weights, kept = {id(p) for p in model.parameters()}, 0

    def count(tensor: "torch.Tensor") -> "torch.Tensor":
        nonlocal kept
        kept += 0 if id(tensor) in weights else tensor.numel() * tensor.element_size()
        return tensor

    batch, images, shape = recipe.train.batch, getattr(recipe.task, "images", 0), list(model.shape)
    shape[1] += images  # behind the frames of clips
    with torch.device("meta"), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        model.raw(torch.zeros(batch, *shape), torch.zeros(batch), model.null(batch * (1 + images)), images)
    return kept / 1e9
