"""A3: a run that was stopped in the middle of an epoch, twice, ends as the uninterrupted one, whatever its settings."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

from moments import kill
from target import Left, changed, difference, emptied, finished, left, trained
from trial import Trial, first, unless

from filmgrain.recipe import Recipe

SETTINGS = {
    **{
        f"accumulate={accumulate} workers={workers} {precision}": dict(
            accumulate=accumulate, workers=workers, precision=precision
        )
        for accumulate, workers, precision in product((1, 3), (0, 2), ("float32", "bfloat16"))
    },
    "ema_start=3 ema_every=2": dict(ema_start=3, ema_every=2),
    "ema=0": dict(ema=0.0),
    "adam cosine": dict(optimizer="adam", schedule="cosine", weight_decay=0.1),
    "clip=0.01": dict(clip=0.01),
}
WORKERS = [(0, 2, 1), (2, 0, 3), (1, 3, 0), (3, 1, 2)]  # of a run and of its two resumptions
QUICK = ("accumulate=3 workers=2 bfloat16", "ema_start=3 ema_every=2")


def trials(root: Path, quick: bool) -> Iterator[Trial]:
    """All 7 steps lie in the first epoch; the second resumption begins where the first one did, at step 5."""
    for name, settings in SETTINGS.items():
        if not quick or name in QUICK:
            recipe = changed(**settings)
            yield stopped(root, name, [recipe] * 3)
    for numbers in WORKERS[:1] if quick else WORKERS:
        recipes = [changed(workers=workers) for workers in numbers]
        yield stopped(root, "changed workers " + ", ".join(map(str, numbers)), recipes)


def stopped(root: Path, name: str, recipes: list[Recipe]) -> Trial:
    """Killed in step 7, resumed, killed there again, and resumed."""
    whole, folder = emptied(root / "whole"), emptied(root / "trial")
    calm = trained(whole, recipe=recipes[0])
    if calm.code:
        return Trial("settings", name, f"the uninterrupted run ended with {calm}")
    killed = [trained(folder, recipe=recipes[0], at=in_step_7)]
    killed.append(trained(folder, resume=True, recipe=recipes[1], at=in_step_7))
    ended = finished(folder, recipes[2])
    fault = first(
        unless(all(one.killed for one in killed), f"were not killed: {killed}"),
        unless(ended.code == 0, f"could not be resumed: {ended}"),
    )
    return Trial("settings", name, fault or difference(folder, left(whole), but_the_recipe))


def in_step_7(name: str) -> None:
    if name == "step 7":
        kill(name)


def but_the_recipe(found: Left) -> Left:
    """It is kept beside the weights, and may have changed."""
    own = ("recipe.toml", "manifest.json")
    return found._replace(files={name: data for name, data in found.files.items() if not name.endswith(own)})
