"""What is typed where there is no run yet: a folder of files, or a recipe."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import Usage

if TYPE_CHECKING:
    from ..recipe import Recipe


def recipe_of(target: str) -> tuple["Recipe", list[str]]:
    """The recipe that is written, or shipped; or that of a folder, and what was chosen for its files, and why."""
    from .. import recipe as recipes
    from ..defaults import explained

    if not target:
        raise Usage("give a folder of videos or pictures, or a recipe; or go on with a run: train --resume --run DIR")
    if not is_folder(target):
        return recipes.load(target), []
    if os.path.isdir(Path(target) / "checkpoints"):  # where Path.is_dir raises, the listing says why
        shown = f"to see what it is made of: filmgrain show {target}"
        raise Usage(f"{target} is a run; {shown}; to go on with it: filmgrain train --resume --run {target}")
    return explained(target)


def is_folder(target: str) -> bool:
    """Whether what is typed is where files lie, and no recipe: a folder, a shard, or a URL."""
    from ..files.remote import is_url

    return is_url(target) or target.endswith(".tar") or Path(target).is_dir()


def same(one: str, other: str) -> bool:
    """Whether two folders or URLs are one."""
    return one == other or Path(one).resolve() == Path(other).resolve()
