"""A1, of what is made of a run: killed while sampling or exporting, it is as it was, and a second try works."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from children import Ended, forked
from moments import At, kill, on, watch
from target import RECIPE, emptied, moments_of, recipes, runs
from trial import Trial, first, unless

from filmgrain.cli.export import export
from filmgrain.cli.sample import Options, sample
from filmgrain.files.image import write_png
from filmgrain.recipe import Recipe

IMAGES = """
[data]
name = "image_folder"
folder = "{folder}"
cache = "{folder}-cache"
height = 16
width = 16
processes = 1
[network]
name = "unet2d"
width = 16
head_width = 16
mults = [1]
attention = []
[train]
steps = 1
batch = 1
precision = "float32"
device = "cpu"
[sample]
steps = 2
"""


class Making(NamedTuple):
    what: str
    work: Callable[[Path, Path], object]  # from a run, into a folder
    recipe: Recipe


def makings(pictures: Path) -> Iterator[Making]:
    yield Making("sample", lambda run, out: sample(Options(run=run, out=out, count=2, device="cpu")), RECIPE)
    pictures.mkdir()
    for number in range(4):
        write_png(pictures / f"{number}.png", np.full((16, 16, 3), 60 * number, np.uint8), None)
    recipe = recipes.loads(IMAGES.format(folder=pictures))
    yield Making("export", lambda run, out: export("diffusers", run, out), recipe)


def trials(root: Path, quick: bool) -> Iterator[Trial]:
    for making in makings(root / "pictures"):
        run, out = root / f"{making.what}-run", root / "made" / "out"
        begun = forked(lambda run=run, recipe=making.recipe: runs.train(recipe, run), root / "run.said")  # type: ignore
        assert begun.code == 0, begun
        before = content(run)

        def made(at: At, making: Making = making, run: Path = run, out: Path = out) -> Ended:
            def work() -> None:
                watch(out.parent, at)
                making.work(run, out)

            return forked(work, root / "made.said")

        emptied(out.parent).mkdir()
        names = moments_of(made, root / "names")
        whole = content(out)
        for number, name in list(enumerate(names))[:: 7 if quick else 1]:
            emptied(out.parent).mkdir()
            died = made(on(number, kill))
            again = made(lambda name: None)
            yield Trial(
                making.what,
                name,
                first(
                    unless(died.killed or died.code == 0, f"was not killed: {died}"),  # threads: one moment less
                    unless(content(run) == before, "the run has changed"),
                    unless(again.code == 0, f"the second try ended with {again}"),
                    unless(content(out) == whole, "the second try made something else"),
                ),
            )


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
