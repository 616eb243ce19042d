"""`filmgrain plan TARGET`: what training would make of every file, and what it would cost. Nothing is written there."""

import shlex
from typing import TYPE_CHECKING, Annotated

from rich.markup import escape
from rich.table import Table
from typer import Argument, Option

from .console import console, progress, say
from .target import recipe_of

if TYPE_CHECKING:
    from ..data import Dataset
    from ..data.plan import Fate
    from ..recipe import Recipe

SHOWN = 20  # files without --all
FEW = 64  # words of a vocabulary that is written out


def plan(
    target: Annotated[
        str, Argument(metavar="FOLDER|RECIPE", help="Folder of videos or pictures, recipe .toml, or shipped recipe.")
    ],
    settings: Annotated[
        list[str] | None, Option("--set", metavar="KEY=VALUE", help="Change the recipe: data.frames=8, ...")
    ] = None,
    every: Annotated[bool, Option("--all", help="List every file.")] = False,
) -> None:
    """Say what becomes of every file of a folder or a recipe, and what memory and time training would take."""
    from ..allocator import keep_freed_memory

    keep_freed_memory()  # before torch allocates
    from .. import runs
    from ..data.plan import plan as planned
    from ..recipe import override

    recipe, reasons = recipe_of(target)
    recipe = override(recipe, settings or ())
    with progress("decoding") as bar:
        data = runs.datasets(recipe, bar)
    found = planned(data)
    used = [fate for fate in found.fates if not fate.refused]
    refused = [fate for fate in found.fates if fate.refused]
    if used:
        _table(used, every)
    _refusals(refused, every)
    say("", *(line for line in found.summary if not line.startswith("refused ")))
    if reasons:
        say("", "chosen, unless you set it otherwise:", *(f"  {reason}" for reason in reasons))
    _captions(recipe, data["train"])
    _cost(recipe, data)
    typed = [word for setting in settings or () for word in ("--set", setting)]
    say("", f"next: filmgrain train {shlex.join([target, *typed])}")


def _table(fates: list["Fate"], every: bool) -> None:
    """A row a file; of pictures without what only clips have."""
    clips = any(fate.frames > 1 for fate in fates)
    timed = ("frames", "fps") if clips else ()
    table = Table("file", *timed, "size", "scaled to", "kept", "windows" if clips else "train", "held out", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for fate in fates if every else fates[:SHOWN]:
        size, scaled = f"{fate.width}x{fate.height}", f"{fate.scaled[1]}x{fate.scaled[0]}"
        seen = (f"{fate.frames}", f"{fate.fps:.3g}") if clips else ()
        items = f"{fate.kept:.0%}", f"{fate.train}", f"{fate.held_out}"
        table.add_row(escape(fate.path), *seen, size, scaled, *items)  # escaped: names may have [brackets]
    console.print(table)
    _rest(len(fates), every)


def _refusals(fates: list["Fate"], every: bool) -> None:
    if not fates:
        return
    say("", f"{len(fates)} refused:")
    say(*(f"  {fate.path}: {fate.refused}" for fate in (fates if every else fates[:SHOWN])))
    _rest(len(fates), every)


def _rest(count: int, every: bool) -> None:
    if count > SHOWN and not every:
        say(f"  ... and {count - SHOWN} more; --all lists them")


def _captions(recipe: "Recipe", data: "Dataset") -> None:
    """How to train on captions, if there are any and the recipe does not; and what of them it does not read."""
    from .. import runs
    from ..conditioning.words import split

    texts: list[str] = getattr(data, "texts", list)()
    if not texts:
        return
    if any(hasattr(config, "remarks") for config in recipe.conditions.values()):
        say(*(f"warning: {sentence}" for sentence in runs.unread(recipe, data)))
        return
    words = sorted({word for text in texts for word in split(text)})
    say(
        "",
        f"captions of {len(words):,} different words are not used; to train on them, add --set network.condition=128",
    )
    if len(words) <= FEW:
        listed = ", ".join(f'"{word}"' for word in words)
        say(f"  and --set {shlex.quote(f'conditions.words.vocabulary=[{listed}]')}, learned with the model")
    say("  and --set conditions.text.length=128, a frozen language model (docs/text.md)")


def _cost(recipe: "Recipe", data: "dict[str, Dataset]") -> None:
    from .. import runs
    from ..rooms import name_of
    from ..training.log import clock, memory_in_all
    from ..training.place import Place
    from .flow import blueprint, count
    from .probe import kept_gigabytes, probe

    train = recipe.train
    place = Place.choose(train.device, train.precision)
    kept, room = kept_gigabytes(recipe), memory_in_all(place.device)
    if kept > room:
        say("", f"a step of {train.batch} items would keep {kept:,.0f} GB, and {place.device} has {room:.0f} GB; lower")
        say("data.frames, data.height and width, or train.batch (and raise train.accumulate instead)")
        return
    cost = probe(recipe, data)
    draws, items = train.steps * train.batch * train.accumulate, len(data["train"])
    say("", f"network: {name_of(recipe.network)}, {count(blueprint(recipe)):,} parameters, on {cost.place}")
    say(f"a step of {train.batch * train.accumulate} items: {cost.seconds:.3g} s, and {cost.gigabytes:.2f} GB at most")
    say(*(f"warning: {sentence}" for sentence in runs.warnings(recipe)))
    epochs = f"{draws / items:.1f} epochs of {items:,} items"
    say(f"{train.steps:,} steps: {epochs}, about {clock(cost.of_run(train))}")
