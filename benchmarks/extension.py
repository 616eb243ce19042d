"""Extension by replacement against reconstruction guidance, on moving shapes (Ho et al. 2022, table 6, in shape).

    python benchmarks/extension.py RUN --out FOLDER --clips 24 --times 4 --steps 32

Held-out clips of the length that RUN makes, of shapes that bounce or circle (what goes on for ever), are extended to so
many times that length without a word of what they show. Each method's videos are kept in FOLDER and not drawn again.
The table holds them against the same shapes' true videos; intervals are 95 %.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import filmgrain
from filmgrain import runs
from filmgrain.data import moving_shapes
from filmgrain.evaluate import temporal, truth
from filmgrain.evaluate.intervals import Number
from filmgrain.files.image import write_png
from filmgrain.files.sheet import film_strip
from filmgrain.generate.conditional import Conditional
from filmgrain.generate.sampling import Config
from filmgrain.generate.videos import to_uint8
from filmgrain.model import DiffusionModel

GAMMA = {"gamma": 0.0}  # with which known frames keep to q(z | x)
LANGEVIN = {"predictor_options": GAMMA}
METHODS = {
    "replacement": (Conditional(method="replacement"), "ancestral", GAMMA),
    "replacement, Langevin": (Conditional(method="replacement"), "langevin", LANGEVIN),
    "both, w_r = 2": (Conditional(weight=2.0), "ancestral", GAMMA),
    "both, w_r = 5": (Conditional(weight=5.0), "ancestral", GAMMA),
    "both, w_r = 5, Langevin": (Conditional(weight=5.0), "langevin", LANGEVIN),
    "both, w_r = 10": (Conditional(weight=10.0), "ancestral", GAMMA),
}
COLUMNS = {"kept[shape]": "identity", "legal[way]": "legal way", "off[way]": "off its way", "boundary": "boundary jump"}
HALVES, SEED = 50, 0


def shapes(recipe: filmgrain.Recipe, count: int, times: int) -> np.ndarray:
    """uint8 (count, 3, f, h, w), `times` as long as the run's clips."""
    config = replace(recipe.data, frames=times * recipe.data.frames, motions=("bouncing", "circling"))
    data = moving_shapes.Dataset(config, "held_out")
    return np.stack([data.item(i)["x"] for i in range(count)])


def drawn(model: DiffusionModel, clips: np.ndarray, name: str, steps: int, folder: Path) -> np.ndarray:
    """The clips' extensions, of the same shape, from the folder if they are there."""
    path = folder / f"{name.replace(' ', '').replace(',', '-')}.npy"
    if not path.is_file():
        how, sampler, options = METHODS[name]
        config, start = Config(sampler=sampler, options=options, steps=steps), time.monotonic()
        x = torch.from_numpy(clips).float() / 127.5 - 1
        made = filmgrain.extend(model, x[:, :, : model.shape[1]], frames=x.shape[2], how=how, config=config)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(path, to_uint8(made).numpy().transpose(0, 4, 1, 2, 3), allow_pickle=False)
        print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)
    return np.load(path, allow_pickle=False)


def measured(videos: np.ndarray, real: np.ndarray, length: int) -> dict[str, Number]:
    """Shares of the videos, heights, and squared steps at blocks' boundaries over those elsewhere: 1 of the true."""
    samples, reference = torch.from_numpy(videos), torch.from_numpy(real)
    boundaries = tuple(range(length, real.shape[2], length // 2))
    found = truth.measure(truth.rows(samples), halves=HALVES, seed=SEED)
    tables = (temporal.rows(part, boundaries) for part in (samples, reference))
    jumps = temporal.measure(*tables, halves=HALVES, seed=SEED, joined=True)
    return found | {"boundary": jumps["boundary[pixels]"], "motion": jumps["motion[pixels]"]}


def table(rows: dict[str, dict[str, Number]]) -> Iterator[str]:
    yield "| method | " + " | ".join([*COLUMNS.values(), "motion"]) + " |"
    yield "|" + "---|" * (len(COLUMNS) + 2)
    for name, numbers in rows.items():
        cells = [f"{numbers[key].value:.3g} ± {1.96 * numbers[key].error:.2g}" for key in [*COLUMNS, "motion"]]
        yield f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--times", type=int, default=4)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    given = parser.parse_args()
    model, recipe = filmgrain.load(given.run, precision="auto"), runs.recipe_of(given.run)
    real, length = shapes(recipe, given.clips, given.times), model.shape[1]
    rows = {"true videos": measured(real, real, length)}
    strips = [real[0]]
    for name in given.methods:
        videos = drawn(model, real, name, given.steps, given.out)
        rows[name] = measured(videos, real, length)
        strips.append(videos[0])
        print("\n".join(table(rows)), flush=True)
    clips = [strip.transpose(1, 2, 3, 0) for strip in strips]
    write_png(given.out / "extension.png", film_strip(clips, 16, scale=2, labels=list(rows)))


if __name__ == "__main__":
    main()
