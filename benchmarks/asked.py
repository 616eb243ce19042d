"""How many samples of a text model show what they were asked for, against scale of guidance, sampler and steps.

    python benchmarks/asked.py filmgrain/box --count 48 ancestral:25:1 ancestral:25:2 ddim:25:2

A setting is sampler:steps:scale, or sampler:steps:scale:cache (`sample.cache`); scale 0 hears nothing of the caption.
The captions are those of the first held-out clips of the run's data, moving shapes, or with --even of data whose
motions are equally frequent; the noise is the same for all. A row is printed as soon as it is measured; intervals are
95 %, over clips.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import filmgrain
from filmgrain import runs
from filmgrain.data.moving_shapes import MOTIONS, Dataset
from filmgrain.evaluate import truth
from filmgrain.evaluate.intervals import Number
from filmgrain.generate.sampling import Config
from filmgrain.generate.videos import generate, to_uint8
from filmgrain.model import DiffusionModel

OPTIONS: dict[str, dict[str, Any]] = {"langevin": {"corrections": 3, "delta": 0.3}}  # of samplers, as the demo has them
COLUMNS = "right[kind]", "right[colour]", "right[motion]", "right[caption]", "kept[shape]", "off[way]"
HALVES, SEED = 50, 0


def sampling(setting: str) -> Config:
    sampler, steps, scale, *cache = setting.split(":")
    options = OPTIONS.get(sampler, {})
    return Config(sampler=sampler, steps=int(steps), scale=float(scale), options=options, cache=int(*cache or "1"))


def measured(model: DiffusionModel, captions: Sequence[str], config: Config) -> dict[str, Number]:
    x = generate(model, len(captions), seed=SEED, config=config, given={"caption": captions}, batch=16)
    table = truth.rows(to_uint8(x).permute(0, 4, 1, 2, 3))
    for motion in dict.fromkeys(truth.said(caption)["motion"] for caption in captions):
        asked = [i for i, caption in enumerate(captions) if truth.said(caption)["motion"] == motion]
        right = int((table[asked, 2] == truth.NAMES["motion"].index(motion)).sum())
        print(f"  {motion}: {right} of {len(asked)}")
    return truth.measure(table, captions, halves=HALVES, seed=SEED)


def row(setting: str, numbers: dict[str, Number], seconds: float) -> str:
    cells = (f"{n.value:.3g} ({n.interval[0]:.2g} to {n.interval[1]:.2g})" for n in map(numbers.__getitem__, COLUMNS))
    return f"| {' | '.join((setting + ':').split(':')[:4])} | {' | '.join(cells)} | {seconds:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("settings", nargs="+", metavar="sampler:steps:scale")
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--even", action="store_true", help="each motion is asked for as often as another")
    given = parser.parse_args()
    torch.set_num_threads(1)
    model, data = filmgrain.load(given.run, precision="auto"), runs.recipe_of(given.run).data
    held_out = Dataset(replace(data, motions=MOTIONS) if given.even else data, "held_out")
    captions = [held_out.item(i)["caption"] for i in range(given.count)]
    columns = "sampler", "steps", "scale", "cache", *COLUMNS, "s of one core"
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for setting in given.settings:
        start = time.process_time()
        print(row(setting, measured(model, captions, sampling(setting)), time.process_time() - start), flush=True)


if __name__ == "__main__":
    main()
