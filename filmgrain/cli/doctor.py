"""`filmgrain doctor RUN|FOLDER|RECIPE`: what usually goes wrong, looked for."""

import math
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Exit, Option

from .console import progress, say
from .errors import Usage
from .target import is_folder, recipe_of

if TYPE_CHECKING:
    from ..doctor.data import Look
    from ..doctor.finding import Finding
    from ..doctor.machine import Machine
    from ..recipe import Recipe
    from ..watching.history import History


def doctor(
    target: Annotated[str, Argument(metavar="RUN|FOLDER|RECIPE", help="A run, a folder of files, or a recipe.")],
    settings: Annotated[
        list[str] | None, Option("--set", metavar="KEY=VALUE", help="Change the recipe: data.folder=..., ...")
    ] = None,
    data: Annotated[bool, Option("--data/--no-data", help="Look at the data too, which decodes them once.")] = True,
) -> None:
    """Look for what usually goes wrong in data, recipe, machine, run and weights; leave with 1 for a problem."""
    from ..allocator import keep_freed_memory

    keep_freed_memory()  # before torch allocates
    from ..doctor.examine import count, examine
    from ..watching.history import History

    if not target:
        raise Usage("give a run, a folder of files or a recipe")  # "" is the working directory to Path
    path = Path(target)
    history = History(path) if os.path.isdir(path / "checkpoints") or os.path.isfile(path / "metrics.jsonl") else None
    recipe = _recipe(target, history, settings or [])
    said: list[Finding] = []
    look = _look(recipe, said, needed=history is None and is_folder(target)) if data else None
    subjects: list[object] = [look] if look else []
    subjects += [_plan(recipe, look, target), _machine(recipe, history, target)]
    subjects += [history, *_weights(path)] if history else []
    findings = [*examine(subjects), *said]
    say(*map(str, findings))
    problems = sum(finding.severity == "problem" for finding in findings)
    say(f"{count(subjects)} checks: {problems} problems, {len(findings) - problems} notes")
    if problems:
        raise Exit(1)


def _recipe(target: str, history: "History | None", settings: list[str]) -> "Recipe":
    from .. import recipe as recipes

    recipe = recipes.load(history.folder / "recipe.toml") if history else recipe_of(target)[0]
    return recipes.override(recipe, settings)


def _look(recipe: "Recipe", said: "list[Finding]", *, needed: bool) -> "Look | None":
    """The data, looked at; where they are not there and not all that is asked about, it is said that they are not."""
    from .. import runs
    from ..data import NoData
    from ..doctor.data import look
    from ..doctor.finding import note
    from ..rooms import name_of

    try:
        with progress("decoding") as bar:
            return look(runs.datasets(recipe, bar), getattr(recipe.data, "folder", "") or name_of(recipe.data))
    except NoData as error:
        if needed:
            raise
        said.append(note("data", f"not looked at: {error}", "say where they are by --set data.folder=..."))
        return None


def _plan(recipe: "Recipe", look: "Look | None", target: str) -> object:
    from ..doctor.recipe import Plan

    if look is None:
        return Plan(recipe=recipe, where=target)
    texts = [item.caption for item in look.seen if item.caption is not None]
    told = {"items": look.train, "classes": look.classes, "captions": bool(texts), "texts": tuple(filter(None, texts))}
    return Plan(recipe=recipe, where=target, **told)  # type: ignore[arg-type]  # a dict of several types


def _machine(recipe: "Recipe", history: "History | None", target: str) -> "Machine":
    """What a run has held is known of it; what a step would hold, of a recipe."""
    from ..doctor.machine import Machine
    from ..training.log import memory_in_all
    from ..training.place import NoDevice, Place
    from .flow import blueprint
    from .flow import count as parameters
    from .probe import kept_gigabytes

    try:
        memory = memory_in_all(Place.choose(recipe.train.device, recipe.train.precision).device)
    except NoDevice:  # the run was made on another machine
        memory = math.inf
    return Machine(
        where=target,
        memory=memory,
        step=0.0 if history else kept_gigabytes(recipe),
        seen=max(history.series("memory_gb")[1], default=0.0) if history else 0.0,
        disk=0.0 if history and history.finished else shutil.disk_usage(target if history else ".").free / 1e9,
        parameters=parameters(blueprint(recipe)),
        keep=recipe.train.keep,
    )


def _weights(run: Path) -> list[object]:
    """Of the newest sound checkpoint; that there is none is said by the checks of the run."""
    from .. import runs
    from ..doctor.weights import read

    try:
        return [read(runs.newest(run))]
    except runs.NotARun:
        return []
