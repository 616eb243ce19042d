"""`filmgrain show RUN|RECIPE|FILE`: what a run is made of, or how a sample was made."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table
from typer import Argument

from .console import console, say

if TYPE_CHECKING:
    from ..recipe import Recipe


def show(
    target: Annotated[str, Argument(help="A run, a recipe .toml or the name of a shipped one, or a sample's file.")],
) -> None:
    """Show a network's flow, its recipe and a run's state; or the recipe inside a GIF, MP4 or PNG."""
    from .. import runs
    from ..files.kinds import kind
    from ..recipe import load

    path = Path(target)
    if path.is_dir():
        recipe = runs.recipe_of(path)
        _network(recipe)
        _state(path)
    elif path.is_file() and path.suffix != ".toml" and kind(path):
        _sample(path)
    else:
        _network(load(target))


def _network(recipe: "Recipe") -> None:
    from .. import runs
    from ..recipe import dumps
    from ..rooms import name_of
    from .flow import flow

    table = Table("part", "kind", "output", "parameters", title=f"{name_of(recipe.network)}, a batch of one", box=None)
    table.columns[3].justify = "right"
    rows = flow(recipe)
    for row in rows:
        table.add_row(row.name, row.kind, " x ".join(map(str, row.shape)), f"{row.parameters:,}")
    console.print(table)
    say(*(f"warning: {sentence}" for sentence in runs.warnings(recipe)))
    say("", f"{rows[-1].parameters:,} parameters", "", dumps(recipe))


def _state(run: Path) -> None:
    """Where the run stands."""
    from .. import runs
    from ..files import fsio
    from ..training.checkpoint import read_state
    from ..training.run import Run

    say(f"step {read_state(runs.newest(run)).step}; checkpoints: " + _names(Run(folder=run).checkpoints))
    rows = fsio.read_jsonl(Run(folder=run).metrics)
    for key in ("loss", "validation/loss"):
        row = next((row for row in reversed(rows) if isinstance(row.get(key), float)), None)
        if row:
            say(f"{key} {row[key]:.4f} at step {row.get('step')}")
    previews = sorted(Run(folder=run).previews.glob("*.gif"))
    if previews:
        say(f"last preview: {previews[-1]}")


def _names(checkpoints: Path) -> str:
    from ..files import fsio

    return ", ".join(folder.name for folder in fsio.staged_folders(checkpoints))


def _sample(path: Path) -> None:
    from ..files.encode import read_recipe
    from ..files.video import Unreadable
    from ..recipe_toml import literal

    recipe = read_recipe(path)
    if recipe is None:
        raise Unreadable(path, "holds no recipe; files that `filmgrain sample` wrote do")
    say(*(f"{key} = {literal(value)}" for key, value in recipe.items() if value is not None))
