"""One recipe of clips trained in several variants at equal steps, and what each of them draws.

    python benchmarks/variants.py joint_shapes runs joint-images.png --images task.images=0 task.images=4 task.images=8
    python benchmarks/variants.py joint_shapes runs predictions.png --set task.images=0 \
        diffusion.prediction=x0 diffusion.prediction=eps diffusion.prediction=v

A variant is a setting of the recipe, or several with commas between. Each is trained into a folder of `runs`, one after
another, then its clips are measured, with --images single images too, and a table is printed. What is trained, or
measured (in VARIANT.json), is kept.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import matplotlib
from matplotlib import pyplot
from torch import Tensor

from filmgrain import recipe as recipes
from filmgrain import runs
from filmgrain.allocator import keep_freed_memory
from filmgrain.evaluate import temporal, truth
from filmgrain.evaluate.features import Extractor, clips32
from filmgrain.evaluate.intervals import Number
from filmgrain.evaluate.measures import Cloud, Config, clouds, measure
from filmgrain.evaluate.pictures import of_data, of_samples, whole
from filmgrain.files import fsio
from filmgrain.files.sheet import film_strip
from filmgrain.generate.sampling import Config as Sampling
from filmgrain.generate.videos import generate, to_uint8

matplotlib.use("Agg")
SAMPLING = Sampling(sampler="ddim", steps=24)
MEASURED = Config(measures=("fd", "kid"))
SHOWN, COLUMNS = 5, 3  # clips of each in the picture, and variants beside each other


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("runs", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("variants", nargs="+", metavar="KEY=VALUE[,KEY=VALUE...]")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of every variant")
    parser.add_argument("--images", action="store_true", help="single images are drawn and measured too")
    parser.add_argument("--count", type=int, default=192, help="clips of each; twice as many images")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    keep_freed_memory()
    found = {}
    options.runs.mkdir(parents=True, exist_ok=True)
    for variant in options.variants:
        kept = folder_of(options, variant).with_suffix(".json")
        if not kept.exists():
            kept.write_text(json.dumps(figures(options, variant), indent=1))
        found[variant] = json.loads(kept.read_text())
    for line in table(found):
        print(line)
    draw(options)


def folder_of(options: argparse.Namespace, variant: str) -> Path:
    return options.runs / variant.replace(",", "-").replace("=", "-").replace(".", "-")


def trained(options: argparse.Namespace, variant: str) -> recipes.Recipe:
    folder = folder_of(options, variant)
    if not folder.exists():
        runs.train(recipes.override(recipes.load(options.recipe), [*options.set, *variant.split(",")]), folder)
    return runs.recipe_of(folder)


def figures(options: argparse.Namespace, variant: str) -> dict[str, object]:
    """Every figure of one run: value, interval and halves."""
    folder = folder_of(options, variant)
    recipe, extractor = trained(options, variant), clips32.load()
    held_out = runs.datasets(recipe)["held_out"]
    spaces = {"clips": extractor, "temporal": temporal.rows, "shapes": truth.rows}
    reference = clouds(spaces, of_data(held_out, range(1000), options.seed, whole), 1000)
    start = time.monotonic()
    ours = clouds(
        spaces, of_samples(drawn(folder, options, recipe.data.frames), options.seed, show=whole), options.count
    )
    numbers = {f"{name} of clips": n for name, n in measure(ours["clips"], reference["clips"], MEASURED).items()}
    how = {"halves": MEASURED.halves, "seed": MEASURED.seed}
    numbers |= truth.measure(ours["shapes"].features, **how)
    numbers |= temporal.measure(ours["temporal"].features, reference["temporal"].features, **how)
    if options.images:
        numbers |= of_images(extractor, held_out, drawn(folder, options, 1), options.seed)
    print(
        f"{variant}:",
        *(f"{name} {n.value:.4g}" for name, n in numbers.items()),
        f"{time.monotonic() - start:.0f} s",
    )
    rows = {name: {"value": n.value, "interval": n.interval, "halves": n.halves} for name, n in numbers.items()}
    return rows | {"loss": {"value": held_out_loss(folder)}, "steps": recipe.train.steps, "extractor": extractor.name}


def of_images(extractor: Extractor, data: object, images: Tensor, seed: int) -> dict[str, Number]:
    """Of single images, by the extractor of clips: each shown twice, as a clip that stands still."""

    def standing(x: Tensor, seed: int, n: int) -> Tensor:
        frame = x[:, n % x.shape[1]]
        return frame[:, None].expand(-1, 2, -1, -1)

    def cloud(pictures: Iterator[Tensor], count: int) -> dict[str, Cloud]:
        return clouds({"clips": extractor, "shapes": truth.rows}, pictures, count)

    ours = cloud(of_samples(images, seed, show=standing), len(images))
    reference = cloud(of_data(data, range(1000), seed, standing), 1000)
    numbers = measure(ours["clips"], reference["clips"], MEASURED)
    kept = truth.measure(ours["shapes"].features, halves=MEASURED.halves, seed=MEASURED.seed)["kept[shape]"]
    return {f"{name} of images": number for name, number in numbers.items()} | {"a shape in images": kept}


def drawn(folder: Path, options: argparse.Namespace, frames: int) -> Tensor:
    """Samples of the averaged weights: clips, or twice as many of a single frame."""
    model = runs.load(folder, device="cpu", precision="bfloat16")
    channels, _, height, width = model.shape
    count = options.count if frames > 1 else 2 * options.count
    shape = channels, frames, height, width
    return generate(model, count, seed=options.seed, config=SAMPLING, shape=shape, batch=32)


def held_out_loss(folder: Path) -> float:
    """The last one."""
    losses = [row["validation/loss"] for row in fsio.read_jsonl(folder / "metrics.jsonl") if "validation/loss" in row]
    return losses[-1]


def table(found: dict[str, dict]) -> Iterator[str]:
    """A row a figure, a column a variant, each with its interval of 95 %."""
    yield f"| | {' | '.join(found)} |"
    yield "|---" * (1 + len(found)) + "|"
    for name in (name for name, row in next(iter(found.values())).items() if isinstance(row, dict)):
        cells = [cell(of[name]) for of in found.values()]
        yield f"| {name} | {' | '.join(cells)} |"


def cell(row: dict) -> str:
    interval = row.get("interval")
    return f"{row['value']:.3g}" + (f" ({interval[0]:.3g} to {interval[1]:.3g})" if interval else "")


def draw(options: argparse.Namespace) -> None:
    """The first clips of each run, frame by frame."""
    rows = math.ceil(len(options.variants) / COLUMNS)
    figure, axes = pyplot.subplots(rows, COLUMNS, figsize=(12, 2.9 * rows), constrained_layout=True, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, variant in zip(axes.flat, options.variants, strict=False):
        model = runs.load(folder_of(options, variant), device="cpu")
        clips = to_uint8(generate(model, SHOWN, seed=options.seed, config=SAMPLING)).numpy()
        axis.imshow(film_strip(list(clips)))
        axis.set_title(variant, fontsize="small")
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.picture, dpi=75)


if __name__ == "__main__":
    main()
