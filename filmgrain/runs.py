"""A run from its recipe: built, trained, and loaded again."""

import inspect
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from . import recipe as recipes
from .allocator import keep_freed_memory
from .data import Dataset
from .data.loader import Loader
from .files import fsio
from .generate import sampling
from .generate.videos import NotFinite
from .model import DiffusionModel
from .recipe import Recipe
from .rooms import find, name_of
from .training import bounds, checkpoint, loop
from .training.config import CHOICES
from .training.place import Place
from .training.run import Run
from .training.world import ALONE, World

# Of the recipe, between two parts of a run: where the data lie, and how the run is watched.
MAY_CHANGE: tuple[str, ...] = ("sample", "data.folder", "data.cache", "data.processes", "data.room")
MAY_CHANGE += ("task.validation", "task.previews", "task.pictures")

LOOKED_AT = 8  # items at once, at most, where a model is looked at while it trains
BOX = Path(__file__).parent / "box"  # the run that comes with filmgrain


class NotARun(Exception):
    """A folder that holds no run, or none that can be read."""


def build(recipe: Recipe) -> DiffusionModel:
    """The model of a recipe, its weights as initialised. Raises RecipeError for one that no machine could hold."""
    try:
        with bounds.within(bounds.ANY):
            return _built(recipe)
    except bounds.TooLarge as error:
        raise recipes.RecipeError(f"[network] {error}; make it narrower") from None


def _built(recipe: Recipe) -> DiffusionModel:
    network = find("networks", name_of(recipe.network)).Network(recipe.network)
    codec = find("autoencoders", name_of(recipe.codec)).Codec(recipe.codec)
    conditioners = {
        name.rpartition(".")[2]: find("conditioning", name).Conditioner(config, vector=recipe.network.condition)
        for name, config in recipe.conditions.items()
    }
    return DiffusionModel(network, codec, recipe.diffusion, recipe.data.shape, conditioners)


def warnings(recipe: Recipe) -> list[str]:
    """What can be done and should not: a sentence each."""
    of_task: Callable[[Any], list[str]] = getattr(recipe.task, "warnings", lambda diffusion: [])
    return [*sampling.warnings(recipe.diffusion, recipe.sample), *of_task(recipe.diffusion)]


def unread(recipe: Recipe, data: Dataset) -> list[str]:
    """What the conditions will not read of the data's captions: a sentence each. Built-in data are not asked."""
    texts: list[str] = getattr(data, "texts", list)()
    readers = [config for config in recipe.conditions.values() if hasattr(config, "remarks")] if texts else []
    return [remark for config in readers for remark in config.remarks(texts)]


def datasets(recipe: Recipe, progress: Callable[[int, int], None] | None = None) -> dict[str, Dataset]:
    """The data of both splits, "train" and "held_out". Files are decoded here, if at all: progress(done, total).

    Raises data.NoData.
    """
    module = find("data", name_of(recipe.data))
    options = {"progress": progress} if "progress" in inspect.signature(module.Dataset).parameters else {}
    return {split: module.Dataset(recipe.data, split, **options) for split in ("train", "held_out")}


def train(
    recipe: Recipe,
    folder: str | Path,
    *,
    resume: bool = False,
    data: dict[str, Dataset] | None = None,
    model: DiffusionModel | None = None,
    world: World = ALONE,
) -> None:
    """Trains the recipe into the run `folder`; with `resume`, from its newest sound checkpoint.

    data: what `datasets` gave, if it has been asked already. model: that of the recipe, if it is there already; its
    weights are where a new run begins. world: of many processes, each of which calls this and takes its part of every
    batch. Raises data.NoData, RecipeError, and what training.loop.train raises.
    """
    keep_freed_memory()
    config = recipe.train
    run = Run(
        folder=Path(folder),
        recipe=recipes.dumps(recipe),
        free=MAY_CHANGE,
        reread=lambda saved: recipes.dumps(recipes.loads(saved, source=f"{folder}'s recipe")),
    )
    data = data or datasets(recipe)
    _check(recipe, data["train"], world)
    if model is None:
        torch.manual_seed(config.seed)  # of the initial weights
        model = build(recipe)
    task = task_of(recipe, model, data["held_out"], world)
    part, drawn = (world.rank, world.size), source(task, data["train"])
    loader = Loader(drawn, batch=config.batch, seed=config.seed, workers=config.workers, part=part)

    def batches(start: int) -> Iterator[dict[str, Any]]:  # asked for once the run is locked and may be written into
        if world.leads:
            _describe(data | {"train": drawn}, run.folder)
        return loader.batches(start)

    loop.train(task, batches, config, run, resume=resume, world=world, rehearse=partial(_rehearse, recipe, data))


def task_of(recipe: Recipe, model: Any, held_out: Dataset | None, world: World = ALONE) -> Any:
    """What trains the model."""
    config, seed, batch = recipe.task, recipe.train.seed, looked_at(recipe, world)
    make = find("tasks", name_of(config)).Task
    return make(config, model, seed=seed, held_out=held_out, sampling=recipe.sample, batch=batch)


def looked_at(recipe: Recipe, world: World = ALONE) -> int:
    """Items at once where a model is looked at: no more than a process has in a step, so that it holds no more."""
    return min(max(1, recipe.train.batch // world.size), LOOKED_AT)


def source(task: Any, data: Dataset) -> Dataset:
    """What a task draws its batches from: the data, or what it makes of them. Raises RecipeError."""
    made: Callable[[Dataset], Dataset] = getattr(task, "source", lambda data: data)
    try:
        return made(data)
    except ValueError as error:
        raise recipes.RecipeError(str(error)) from None


def _rehearse(recipe: Recipe, data: dict[str, Dataset], folder: Path) -> None:
    """What a checkpoint is for, in small: loaded as for sampling, validated, sampled from in two steps, and drawn.

    Nothing where the task draws no previews. Raises RecipeError where the model cannot be sampled from as the recipe
    says, and what else may come of it.
    """
    if not getattr(recipe.task, "previews", 0):
        return
    model, sample = load_checkpoint(folder, device=recipe.train.device), recipe.sample
    levels = sample.grid_of(model.schedule).tolist()[:-1]
    if len(levels) > 2:
        sample = replace(sample, levels=(levels[0], levels[len(levels) // 2]))
    few = {name: 1 for name in ("previews", "validation") if getattr(recipe.task, name, 0) > 1}
    config = replace(recipe.task, **few)
    task = task_of(replace(recipe, task=config, sample=sample), model, data["held_out"])
    with TemporaryDirectory(prefix=f"{fsio.TEMPORARY}rehearsal-", dir=folder.parent) as drawn:
        try:
            task.validate()
            task.preview(Path(drawn), 0)
        except NotFinite:
            raise
        except ValueError as error:
            raise recipes.RecipeError(f"a first sample cannot be drawn: {error}") from error


def _describe(data: dict[str, Dataset], folder: Path) -> None:
    """Writes into the run what was found in the data, and which files were refused."""
    lines = dict.fromkeys(line for split in data.values() for line in split.summary())
    fsio.write_text(folder / "data.txt", "".join(f"{line}\n" for line in lines).encode("utf-8", "replace").decode())
    refused, quarantine = getattr(data["train"], "refused", []), folder / "quarantine.jsonl"
    if refused or quarantine.exists():
        rows = [json.dumps({"path": str(file.path), "reason": file.reason}) for file in refused]
        fsio.write_text(quarantine, "".join(f"{row}\n" for row in rows))


def _check(recipe: Recipe, data: Dataset, world: World) -> None:
    """That the data are what the conditions say of them, and that each process has a part. Raises RecipeError."""
    if (batch := recipe.train.batch) % world.size:
        raise recipes.RecipeError(
            f"train.batch={batch}, of all processes together, cannot be divided among {world.size}; "
            f"use {-(-batch // world.size) * world.size}"
        )
    item = data.item(0, random.Random(0)) if recipe.conditions else {}
    try:
        for name, condition in recipe.conditions.items():
            condition.check(classes=getattr(data, "classes", None), captions="caption" in item)
            if (key := getattr(find("conditioning", name).Conditioner, "key", "x")) not in item:
                raise ValueError(f'conditions.{name} needs "{key}" of each item, which {name_of(recipe.data)} has not')
    except ValueError as error:
        raise recipes.RecipeError(str(error)) from None


def box() -> Path:
    """The run that comes with filmgrain. Raises NotARun where it was left out."""
    if not BOX.is_dir():
        raise NotARun(f"no model came with this filmgrain: {BOX} is not there; give the folder of a run")
    return BOX


def recipe_of(run: str | Path) -> Recipe:
    """The recipe that a run was trained with."""
    return recipes.load(newest(run) / "recipe.toml")


def load(run: str | Path, *, weights: str = "ema", device: str = "auto", precision: str = "float32") -> DiffusionModel:
    """The model of a run's newest sound checkpoint, in evaluation mode. weights: "ema", the average, or "raw".

    precision: of its network, "float32", "bfloat16", or "auto": bfloat16 where the processor computes in it.
    """
    return load_checkpoint(newest(run), weights=weights, device=device, precision=precision)


def load_checkpoint(
    folder: Path, *, weights: str = "ema", device: str = "auto", precision: str = "float32"
) -> DiffusionModel:
    """The same of a checkpoint that `newest` gave: a run that is still training may have written another since."""
    if weights not in ("ema", "raw"):
        raise ValueError(f'weights="{weights}" is unknown; use "ema" or "raw"')
    if precision not in CHOICES["precision"]:
        raise ValueError(f'precision="{precision}" is unknown; use {", ".join(CHOICES["precision"])}')
    keep_freed_memory()
    model = _blank(recipes.load(folder / "recipe.toml"), folder)
    checkpoint.load_model(folder, model, ema=weights == "ema", without=("objective.",))
    for condition in model.conditions:
        getattr(condition, "confirm", lambda: None)()  # that what it reads with is what it was trained with
    place = Place.choose(device, precision)
    return model.to(place.device).eval().lowered(place.dtype)


def _blank(recipe: Recipe, folder: Path) -> DiffusionModel:
    """The model that a checkpoint's weights go into, once it is known to be of their size: its recipe may be anybody's.

    Raises Mismatch before any memory is taken.
    """
    shapes = checkpoint.shapes(folder, "model")
    try:
        with torch.device("meta"), bounds.within(bounds.of_saved([*shapes.values()])):
            _built(recipe)
    except bounds.TooLarge as error:
        raise checkpoint.Mismatch(f"{folder}: its recipe does not fit its weights: {error}") from None
    return build(recipe)


def newest(run: str | Path) -> Path:
    """The newest checkpoint of a run whose manifest verifies."""
    checkpoints = Run(folder=Path(run)).checkpoints
    if not checkpoints.is_dir():
        raise NotARun(f"{run} is not a run: it holds no checkpoints/; give the folder that filmgrain train wrote")
    folder, refused = fsio.newest(checkpoints)
    if folder is None:
        reason = "; ".join(map(str, refused)) or "it holds none"
        raise NotARun(f"{run} has no usable checkpoint: {reason}; copy one back, or train another run")
    return folder


def write(folder: str | Path, recipe: Recipe, *, model: dict[str, Tensor], ema: dict[str, Tensor], step: int) -> None:
    """A run made of others' weights, by parameter name: it samples, and is the start of a fine-tuning."""
    built = build(recipe)
    built.load_state_dict({f"network.{name}": tensor for name, tensor in model.items()})
    averages = {f"network.{name}": tensor for name, tensor in ema.items()}
    run = _new_run(folder, recipe)
    # Averages of many steps are warm: without their count, the first step of a fine-tuning would forget them.
    checkpoint.save(run, checkpoint.State(step=step, ema_updates=step), built, averages, {})


def pack(run: str | Path, folder: str | Path, *, half: bool = True, settings: Sequence[str] = ()) -> Path:
    """The newest checkpoint of a run as one to pass on: the averaged weights alone, in float16 if `half`.

    It is loaded, sampled and fine-tuned like any run. settings: how it is to be sampled, such as "sample.scale=2".
    Returns the checkpoint's folder.
    """
    found = newest(run)
    recipe = recipes.override(recipes.load(found / "recipe.toml"), settings)
    model = load_checkpoint(found, device="cpu")
    if half:
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.half()
    new = _new_run(folder, recipe)
    step = checkpoint.read_state(found).step
    return checkpoint.save(new, checkpoint.State(step=step, ema_updates=step), model, {}, {})


def _new_run(folder: str | Path, recipe: Recipe) -> Run:
    run = Run(folder=Path(folder), recipe=recipes.dumps(recipe))
    if run.folder.exists() and any(run.folder.iterdir()):
        raise NotARun(f"{run.folder} is not empty; give a new folder for the run")
    run.folder.mkdir(parents=True, exist_ok=True)
    fsio.write_text(run.folder / "recipe.toml", run.recipe)
    return run
