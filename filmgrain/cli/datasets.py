"""The data that a run is measured on: a split of its own, or a folder of others in the same size, never flipped."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..data import Dataset
    from ..recipe import Recipe


def dataset(recipe: "Recipe", given: str) -> "Dataset":
    """given: "held_out", "train", or a folder, of which all is used. Raises NoData."""
    from .. import runs
    from ..data import NoData
    from ..data.split import SPLITS

    if given not in SPLITS:
        return runs.datasets(replace(recipe, data=_of_folder(unflipped(recipe).data, given)))["train"]
    data = runs.datasets(unflipped(recipe))[given]
    if not len(data):
        raise NoData("the run holds nothing out of training; give a folder of other files, or measure on train")
    return data


def name_of(recipe: "Recipe", given: str) -> str:
    """What the data are called: by their folder, or by their format where they have none."""
    from .. import rooms
    from ..data.split import SPLITS

    folder = getattr(recipe.data, "folder", "") if given in SPLITS else given
    return Path(folder).absolute().name or rooms.name_of(recipe.data) if folder else rooms.name_of(recipe.data)


def unflipped(recipe: "Recipe") -> "Recipe":
    return replace(recipe, data=replace(recipe.data, flip=False)) if hasattr(recipe.data, "flip") else recipe


def _of_folder(config: Any, folder: str) -> Any:
    from ..rooms import find

    if not hasattr(config, "folder"):
        _, *frames, height, width = config.shape
        sides = {"height": height, "width": width, **({"frames": frames[0]} if frames else {})}
        config = find("data", "video_folder" if frames else "image_folder").Config(folder=folder, **sides)
    return replace(config, folder=folder, held_out=0.0)
