"""`filmgrain train TARGET`: from a folder of files, or a recipe, to a run."""

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Exit, Option

from .console import console, progress, say
from .errors import Usage
from .target import is_folder, recipe_of, same

if TYPE_CHECKING:
    from ..data import Dataset
    from ..recipe import Recipe
    from ..training.world import World


def train(
    target: Annotated[
        str, Argument(metavar="FOLDER|RECIPE", help="Folder of videos or pictures, recipe .toml, or shipped recipe.")
    ] = "",
    run: Annotated[Path | None, Option(help="Folder to write to; by default the next free runs/NAME-00.")] = None,
    resume: Annotated[bool, Option("--resume", help="Go on where the run stopped.")] = False,
    steps: Annotated[int | None, Option(min=1, help="The same as --set train.steps=N.")] = None,
    settings: Annotated[
        list[str] | None, Option("--set", metavar="KEY=VALUE", help="Change the recipe: network.mults=[1,2], ...")
    ] = None,
    processes: Annotated[int, Option(min=1, help="Processes of this machine that train together; a GPU each.")] = 1,
    max_restarts: Annotated[int, Option(min=0, help="How often lost processes are started again.")] = 3,
) -> None:
    """Train a model on a folder of your files, or as a recipe says. What is chosen for you is printed, and why."""
    from ..allocator import keep_freed_memory

    keep_freed_memory()  # before torch allocates
    from ..training.world import joined, restarted

    if resume and run is None:
        raise Usage("--resume needs --run DIR, the run to go on with")
    changes = [*(settings or ()), *([f"train.steps={steps}"] if steps else ())]
    if processes > 1:
        from .processes import launch

        _refuse_used(None if resume else run)
        typed = [*([target] if target else ()), *(word for change in changes for word in ("--set", change))]
        typed += ["--resume"] if resume else []
        raise Exit(launch(typed, run or _free(target), processes=processes, restarts=max_restarts))
    if run is None and restarted():
        raise Usage("give --run DIR, so that processes that are started again find their run")
    with joined() as world:
        _train(target, run, resume, changes, world)


def _train(target: str, run: Path | None, resume: bool, changes: list[str], world: "World") -> None:
    """In each of the processes; the first one chooses and speaks for all."""
    from .. import recipe as recipes
    from .. import runs
    from ..training.world import restarted

    console.quiet = not world.leads

    def chosen() -> tuple[str, str, bool]:
        again = resume or bool(restarted() and run and any(run.glob("checkpoints/step-*")))
        if not again:
            _refuse_used(run)
        recipe = _resumed(target, run) if again and run else _fresh(target)
        return recipes.dumps(recipes.override(recipe, changes)), str(run or _free(target)), again

    text, name, again = world.share(world.first(chosen))
    recipe, folder = recipes.loads(text, trusted=True), Path(name)  # what the first process has read and accepted
    data = world.in_turn(lambda: _tell(recipe))
    say(f"run: {folder}")
    runs.train(recipe, folder, resume=again, data=data, world=world)
    previews = sorted((folder / "previews").glob("*"))
    say(f"trained: {folder}", *(f"preview: {path}" for path in previews if path.stem == previews[-1].stem))
    say(f"next: filmgrain sample {folder} --count 16")


def _fresh(target: str) -> "Recipe":
    recipe, reasons = recipe_of(target)
    if reasons:
        say("chosen for these files, where --set does not say otherwise:", *(f"  {reason}" for reason in reasons))
    return recipe


def _resumed(target: str, run: Path) -> "Recipe":
    """The run's own recipe; one that is given must be the same in all that matters, which `runs.train` checks."""
    from .. import recipe as recipes
    from .. import runs
    from ..recipe_toml import literal
    from ..training.run import ResumeRefused

    if target and not is_folder(target):
        return recipes.load(target)
    try:
        own = runs.recipe_of(run)
    except runs.NotARun as error:
        raise ResumeRefused(str(error)) from None
    if target and not hasattr(own.data, "folder"):
        raise Usage(f"{run} was not trained on a folder; leave out {target}")
    if target and not same(target, getattr(own.data, "folder", "")):
        return recipes.override(own, [f"data.folder={literal(target)}"])
    return own


def _refuse_used(run: Path | None) -> None:
    """A run that has got anywhere is not begun anew, and a folder of something else is not written into."""
    if run is None or not run.exists():
        return
    if not run.is_dir():
        raise Usage(f"--run {run} is a file; give a folder")
    steps = [path.name for path in run.glob("checkpoints/step-*")]
    if any(not name.endswith("-00000000") for name in steps):
        raise Usage(f"{run} holds a run already; add --resume to go on with it, or give another --run")
    if any(run.iterdir()) and not (run / "lock").exists():
        raise Usage(f"{run} holds other files; give a new folder for --run")


def _free(target: str) -> Path:
    """The next free runs/NAME-00."""
    name = Path(target).resolve().name.removesuffix(".toml")
    return next(path for n in count() if not (path := Path("runs") / f"{name}-{n:02d}").exists())


def _tell(recipe: "Recipe") -> "dict[str, Dataset]":
    """Says what is trained on what, and returns the data of both splits; files are decoded here, under a bar."""
    from .. import runs
    from ..rooms import name_of
    from .flow import blueprint
    from .flow import count as parameters

    train = recipe.train
    say(f"data: {name_of(recipe.data)}, items of {'x'.join(map(str, recipe.data.shape))} (channels first)")
    with progress("decoding") as bar:
        data = runs.datasets(recipe, bar)
    lines = [line for split in data.values() for line in split.summary()]
    say(*(f"  {line}" for line in dict.fromkeys(lines)))  # both name the files that were left out
    say(f"network: {name_of(recipe.network)}, {parameters(blueprint(recipe)):,} parameters")
    items = train.steps * train.batch * train.accumulate
    say(*(f"warning: {sentence}" for sentence in [*runs.warnings(recipe), *runs.unread(recipe, data["train"])]))
    say(f"train: {train.steps:,} steps of {train.batch * train.accumulate} items ({items:,}), lr {train.lr:g}")
    return data
