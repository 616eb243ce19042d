"""Extension by replacement against reconstruction guidance, on moving shapes (Ho et al. 2022, table 6, in shape).

    python benchmarks/extension.py RUN --out FOLDER --clips 16 --times 4 --steps 32

Held-out clips of the length that RUN makes, of shapes that bounce or circle (what goes on for ever), are extended to so
many times that length; a model with captions is told them. Each method's videos are kept in FOLDER and not drawn again.
The table holds them against the same shapes' true videos, and beside what the model makes when nothing is to be gone on
with, than which no extension can be better; intervals are 95 %, over clips.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import filmgrain
from filmgrain import runs
from filmgrain.data import moving_shapes
from filmgrain.evaluate import temporal, truth
from filmgrain.evaluate.distances import frechet
from filmgrain.evaluate.features import Extractor, clips32
from filmgrain.evaluate.intervals import Number
from filmgrain.evaluate.intervals import measured as with_interval
from filmgrain.files.encode import write_gif
from filmgrain.files.image import write_png
from filmgrain.files.sheet import contact_sheet, film_strip
from filmgrain.generate.conditional import Conditional
from filmgrain.generate.sampling import Config
from filmgrain.generate.videos import generate, to_uint8
from filmgrain.model import DiffusionModel

GAMMA: dict[str, Any] = {"gamma": 0.0}  # with which known frames keep to q(z | x)
LANGEVIN: dict[str, Any] = {"predictor_options": GAMMA}
METHODS = {
    "replacement": (Conditional(method="replacement"), "ancestral", GAMMA),
    "replacement, Langevin": (Conditional(method="replacement"), "langevin", LANGEVIN),
    "both, w_r = 2": (Conditional(weight=2.0), "ancestral", GAMMA),
    "both, w_r = 3": (Conditional(weight=3.0), "ancestral", GAMMA),
    "both, w_r = 5": (Conditional(weight=5.0), "ancestral", GAMMA),
    "both, w_r = 5, Langevin": (Conditional(weight=5.0), "langevin", LANGEVIN),
    "both, w_r = 10": (Conditional(weight=10.0), "ancestral", GAMMA),
}
OWN = "clips of its own"
HALVES, SEED = 50, 0
SHOWN = 4  # shapes in the pictures
Said = dict[str, list[str]]


def shapes(recipe: filmgrain.Recipe, count: int, times: int) -> tuple[np.ndarray, list[str]]:
    """uint8 (count, 3, f, h, w), `times` as long as the run's clips, and what is said of each."""
    config = replace(recipe.data, frames=times * recipe.data.frames, motions=("bouncing", "circling"))
    data = moving_shapes.Dataset(config, "held_out")
    items = [data.item(i) for i in range(count)]
    return np.stack([item["x"] for item in items]), [item["caption"] for item in items]


def drawn(model: DiffusionModel, clips: np.ndarray, said: Said, name: str, steps: int, folder: Path) -> np.ndarray:
    """The clips' extensions, of the same shape, from the folder if they are there; or as many clips of its own."""
    path = folder / f"{name.replace(' ', '').replace(',', '-')}.npy"
    if not path.is_file():
        how, sampler, options = METHODS.get(name, METHODS["replacement"])
        config, start = Config(sampler=sampler, options=options, steps=steps), time.monotonic()
        if name == OWN:
            made = generate(model, len(clips), seed=SEED, config=config, given=said, batch=8)
        else:
            x = torch.from_numpy(clips).float() / 127.5 - 1
            known = x[:, :, : model.shape[1]]
            made = filmgrain.extend(model, known, frames=x.shape[2], how=how, config=config, seed=SEED, given=said)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(path, to_uint8(made).numpy().transpose(0, 4, 1, 2, 3), allow_pickle=False)
        print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)
    return np.load(path, allow_pickle=False)


def measured(videos: np.ndarray, real: np.ndarray, length: int, extractor: Extractor) -> dict[str, Number]:
    """By column. Windows are of the model's length, each a quarter further on than the last; the first is not drawn."""
    samples, reference = torch.from_numpy(videos), torch.from_numpy(real)
    how: dict[str, Any] = {"halves": HALVES, "seed": SEED}
    new = samples[:, :, length // 4 :] if samples.shape[2] > length else samples
    windows = truth.windows(new, length, length // 4)
    table = {"windows: legal way": truth.measure(windows, **how)["legal[way]"]}
    off = with_interval(median, windows[..., 4], windows[..., 4], **how)["off"]  # a mean is of what cannot be followed
    table |= {"off their way, median": off}
    whole = truth.measure(truth.rows(samples), **how)
    table = {"identity kept": whole["kept[shape]"]} | table | {"off its way, whole": whole["off[way]"]}
    if samples.shape[2] == length:
        return table
    boundaries = tuple(range(length, real.shape[2], length // 2))
    tables = (temporal.rows(part, boundaries) for part in (samples, reference))
    moves = temporal.measure(*tables, joined=True, **how)
    table |= {"boundary jump": moves["boundary[pixels]"], "motion": moves["motion[pixels]"]}
    pairs = torch.stack(
        [features(part[:, :, length // 4 :], length, extractor) for part in (samples, reference)], dim=1
    )
    return {f"fvd[{extractor.name}]": with_interval(distance, pairs, pairs, **how)["fvd"]} | table


def median(samples: Tensor, _: Tensor) -> dict[str, float]:
    return {"off": samples.median().item()}


def features(clips: Tensor, length: int, extractor: Extractor) -> Tensor:
    """(clips, windows, features), so that halves are of clips."""
    starts = range(0, clips.shape[2] - length + 1, length // 4)
    return torch.stack([extractor(clips[:, :, start : start + length]) for start in starts], dim=1)


def distance(pairs: Tensor, _: Tensor) -> dict[str, float]:
    """Of (clips, 2, windows, features): a half has videos and true ones of the same shapes."""
    return {"fvd": frechet(*pairs.transpose(0, 1).flatten(1, 2))}


def table(rows: dict[str, dict[str, Number]]) -> Iterator[str]:
    columns = max(rows.values(), key=len)
    yield f"| | {' | '.join(columns)} |"
    yield "|" + "---|" * (len(columns) + 1)
    for name, numbers in rows.items():
        cells = (f"{n.value:.3g} ± {1.96 * n.error:.2g}" if (n := numbers.get(key)) else "" for key in columns)
        yield f"| {name} | {' | '.join(cells)} |"


def draw(videos: dict[str, np.ndarray], folder: Path) -> None:
    """The first shapes, as a film strip with a row a method; two of them as a GIF with a column a method."""
    rows = [(name, clips[i].transpose(1, 2, 3, 0)) for i in range(SHOWN) for name, clips in videos.items()]
    strip = film_strip([clip for _, clip in rows], 16, scale=1, labels=[name for name, _ in rows])
    write_png(folder / "extend.png", strip)
    moving = [clip for _, clip in rows[: 2 * len(videos)]]
    write_gif(folder / "extend.gif", contact_sheet(moving, columns=len(videos), scale=2), 8.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--times", type=int, default=4)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    given = parser.parse_args()
    model, recipe = filmgrain.load(given.run, precision="auto"), runs.recipe_of(given.run)
    (real, captions), length, extractor = shapes(recipe, given.clips, given.times), model.shape[1], clips32.load()
    said = {"caption": captions} if any(condition.key == "caption" for condition in model.conditions) else {}
    videos = {"true videos": real}
    for name in [OWN, *given.methods]:
        videos[name] = drawn(model, real, said, name, given.steps, given.out)
    rows = {name: measured(clips, real, length, extractor) for name, clips in videos.items()}
    first, *others = given.methods
    for name in others:  # of the same shapes, so that less is left to chance than in either
        rows[f"{name}, less {first}"] = {key: number - rows[first][key] for key, number in rows[name].items()}
    print("\n".join(table(rows)), flush=True)
    del videos[OWN]
    draw(videos, given.out)


if __name__ == "__main__":
    main()
