"""Distance of one checkpoint's samples to its data, by sampler and cost, by guidance scale,
by which weights, and by caching of blocks.

    python benchmarks/sweep.py samplers runs/fashion docs/pictures/fashion-samplers.png
    python benchmarks/sweep.py scale runs/fashion docs/pictures/fashion-scale.png
    python benchmarks/sweep.py weights runs/fashion out.png
    python benchmarks/sweep.py cache runs/fashion docs/pictures/fashion-cache.png

Each point is what `filmgrain evaluate` measures with the same settings, but that data and extractor are looked at once,
and the network computes in bfloat16.
Beside the picture lies a .json of all figures, which a second call goes on from.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import matplotlib
import torch
from matplotlib import pyplot

from filmgrain import recipe as recipes
from filmgrain import runs
from filmgrain.allocator import keep_freed_memory
from filmgrain.data.loader import Loader
from filmgrain.evaluate.features import small28
from filmgrain.evaluate.measures import Config as Measures
from filmgrain.evaluate.measures import cloud, measure
from filmgrain.evaluate.pictures import of_data, of_samples
from filmgrain.generate import sampling
from filmgrain.generate.videos import generate

matplotlib.use("Agg")

# Sampler, its grid, and its evaluations a step.
SAMPLERS = {
    "ddim": ("uniform", 1),
    "dpmpp_2m": ("uniform", 1),
    "dpmpp_3m": ("uniform", 1),
    "unipc": ("uniform", 1),
    "dpmpp_2m_sde": ("uniform", 1),
    "ancestral": ("uniform", 1),
    "heun": ("karras", 2),
}
X = {"samplers": "evaluations of the network", "scale": "guidance scale", "cache": "evaluations of all levels"}
BUDGETS = 6, 8, 14, 26
SCALES = 0.0, 1.0, 1.5, 2.0, 3.0, 5.0
CACHES = {"each step whole": ((24, 1), (12, 1), (8, 1)), "cached": ((24, 2), (24, 3), (24, 5))}  # steps, sample.cache


def points(what: str, config: sampling.Config) -> Iterator[tuple[str, float, str, sampling.Config]]:
    """Line, place on the x axis, weights, and how samples are drawn."""
    if what == "samplers":
        for name, (grid, calls) in SAMPLERS.items():
            for budget in BUDGETS:
                steps = budget // calls
                yield name, budget, "ema", replace(config, sampler=name, grid=grid, steps=steps, scale=1.0, options={})
    elif what == "scale":
        for scale in SCALES:
            yield config.sampler, scale, "ema", replace(config, scale=scale)
    elif what == "cache":
        for line, ways in CACHES.items():
            for steps, cache in ways:
                yield line, steps / cache, "ema", replace(config, steps=steps, cache=cache, scale=1.0)
    else:
        for weights in ("ema", "raw"):
            yield weights, 1.0, weights, replace(config, scale=1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["samplers", "scale", "weights", "cache"])
    parser.add_argument("run", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    keep_freed_memory()
    results = options.picture.with_suffix(".json")
    rows = json.loads(results.read_text()) if results.exists() else []
    checkpoint = runs.newest(options.run)
    recipe = recipes.load(checkpoint / "recipe.toml")
    data = runs.datasets(recipe)
    extractor = small28.load(data=data["train"], called="data")
    held_out = data["held_out"]
    most = min(10_000, len(held_out))
    reference = cloud(extractor, of_data(held_out, range(most), options.seed), most)
    loader = Loader(held_out, batch=1, seed=options.seed)
    labels = [int(loader.draw(n % most)["label"]) for n in range(options.count)]
    given = {"label": labels} if "label" in recipe.conditions else None
    models = {name: runs.load_checkpoint(checkpoint, weights=name) for name in ("ema", "raw")}
    for line, x, weights, config in points(options.what, recipe.sample):
        if any((row["line"], row["x"]) == (line, x) for row in rows):
            continue
        start = time.monotonic()
        with torch.autocast("cpu", torch.bfloat16):
            samples = generate(models[weights], options.count, seed=options.seed, config=config, batch=64, given=given)
        seconds = time.monotonic() - start
        found = measure(
            cloud(extractor, of_samples(samples, options.seed), options.count),
            reference,
            Measures(measures=("fd", "kid"), seed=options.seed),
        )
        numbers = {name: {"value": n.value, "interval": n.interval} for name, n in found.items()}
        rows.append({"line": line, "x": x, "seconds": round(seconds, 1), "extractor": extractor.name, **numbers})
        results.write_text(json.dumps(rows, indent=1))
        print(line, x, *(f"{name} {n['value']:.4g}" for name, n in numbers.items()), f"{seconds:.0f} s", flush=True)
    draw(options.what, rows, options.picture, extractor.name)


def draw(what: str, rows: list[dict], picture: Path, extractor: str) -> None:
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), constrained_layout=True)
    for axis, name in zip(axes, ("fd", "kid"), strict=True):
        for line in dict.fromkeys(row["line"] for row in rows):
            own = [row for row in rows if row["line"] == line]
            x, y = [row["x"] for row in own], [row[name]["value"] for row in own]
            low = [row[name]["value"] - row[name]["interval"][0] for row in own]
            high = [row[name]["interval"][1] - row[name]["value"] for row in own]
            axis.errorbar(x, y, yerr=[low, high], label=line, marker="o", markersize=3, capsize=2, linewidth=1)
        if what == "samplers":
            axis.set_xscale("log")
            axis.set_xticks(BUDGETS, [str(budget) for budget in BUDGETS], minor=False)
            axis.set_yscale("log")
        axis.set_xlabel(X.get(what, ""))
        axis.set_ylabel(f"{name}[{extractor}]")
        axis.legend(fontsize=7)
        axis.grid(alpha=0.3)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main()
