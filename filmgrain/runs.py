"""A run from its recipe: built, trained, and loaded again."""

from pathlib import Path

import torch
from torch import Tensor

from . import recipe as recipes
from .allocator import keep_freed_memory
from .files import fsio
from .model import DiffusionModel
from .recipe import Recipe
from .rooms import find, name_of
from .training import checkpoint, loop
from .training.place import Place
from .training.run import Run


class NotARun(Exception):
    """A folder that holds no run, or none that can be read."""


def build(recipe: Recipe) -> DiffusionModel:
    """The model of a recipe, its weights as initialised."""
    network = find("networks", name_of(recipe.network)).Network(recipe.network)
    codec = find("autoencoders", name_of(recipe.codec)).Codec(recipe.codec)
    return DiffusionModel(network, codec, recipe.diffusion, recipe.data.shape)


def train(recipe: Recipe, folder: str | Path, *, resume: bool = False) -> None:
    """Trains the recipe into the run `folder`; with `resume`, from its newest sound checkpoint.

    Raises data.NoData, and whatever training.loop.train raises.
    """
    keep_freed_memory()
    folder = Path(folder)
    data = find("data", name_of(recipe.data))
    dataset, held_out = data.Dataset(recipe.data), data.Dataset(recipe.data, "held_out")
    torch.manual_seed(recipe.train.seed)  # of the initial weights
    task = find("tasks", name_of(recipe.task)).Task(
        recipe.task,
        build(recipe),
        seed=recipe.train.seed,
        held_out=held_out,
        sampling=recipe.sample,
    )
    config = recipe.train
    batches = find("data", "loader").Loader(dataset, batch=config.batch, seed=config.seed, workers=config.workers).batches
    loop.train(task, batches, config, Run(folder=folder, recipe=recipes.dumps(recipe)), resume=resume)


def recipe_of(run: str | Path) -> Recipe:
    """The recipe that a run was trained with."""
    return recipes.load(newest(run) / "recipe.toml")


def load(run: str | Path, *, weights: str = "ema", device: str = "auto") -> DiffusionModel:
    """The model of a run's newest sound checkpoint, in evaluation mode. weights: "ema", the average, or "raw"."""
    if weights not in ("ema", "raw"):
        raise ValueError(f'weights="{weights}" is unknown; use "ema" or "raw"')
    keep_freed_memory()
    folder = newest(run)
    model = build(recipes.load(folder / "recipe.toml"))
    checkpoint.load_model(folder, model, ema=weights == "ema")
    return model.to(Place.choose(device, "float32").device).eval()


def newest(run: str | Path) -> Path:
    """The newest checkpoint of a run whose manifest verifies."""
    run = Run(folder=Path(run))
    if not run.checkpoints.is_dir():
        raise NotARun(f"{run.folder} is not a run: it holds no checkpoints/; give the folder that filmgrain train wrote")
    folder, refused = fsio.newest(run.checkpoints)
    if folder is None:
        raise NotARun(f"{run.folder} has no usable checkpoint: {'; '.join(map(str, refused)) or 'it holds none'}")
    return folder


def write(
    folder: str | Path, recipe: Recipe, *, model: dict[str, Tensor], ema: dict[str, Tensor], step: int
) -> None:
    """A run made of others' weights: it samples, and is the start of a fine-tuning. `model` and `ema` by parameter name."""
    run = Run(folder=Path(folder), recipe=recipes.dumps(recipe))
    if run.folder.exists() and any(run.folder.iterdir()):
        raise NotARun(f"{run.folder} is not empty; give a new folder for the run")
    built = build(recipe)
    built.load_state_dict({f"network.{name}": tensor for name, tensor in model.items()})
    averages = {f"network.{name}": tensor for name, tensor in ema.items()}
    run.folder.mkdir(parents=True, exist_ok=True)
    fsio.write_text(run.folder / "recipe.toml", run.recipe)
    checkpoint.save(run, checkpoint.State(step=step), built, averages, {})


