"""More pixels of a video: a trained stage against guidance by the smaller copy, and both against interpolation.

    filmgrain train upscale_shapes --run runs/upscale
    python benchmarks/upscaling.py runs/upscale filmgrain/box --out enlarged.png

Held-out clips of moving shapes, 32x32, of the frames that each model makes, from their copies of 8x8. PSNR in dB, of
range 2; "small copy" is the root mean square error of the made clip's own smaller copy; a kind or colour is right as
evaluate/truth.py reads it. Intervals are 95 %, over clips.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

import filmgrain
from filmgrain.data import moving_shapes
from filmgrain.evaluate import truth
from filmgrain.files.image import write_png
from filmgrain.files.sheet import film_strip
from filmgrain.generate import sampling
from filmgrain.generate.conditional import Conditional, Diverged
from filmgrain.generate.upscale import upscale
from filmgrain.generate.videos import to_uint8
from filmgrain.guidance.measurements import Downsample
from filmgrain.kernels.pixels import as_data
from filmgrain.model import DiffusionModel

FACTOR, SEED = 4, 0
Way = Callable[[Tensor, list[str]], Tensor]  # the smaller clips and their captions -> larger ones


def interpolated(mode: str) -> Way:
    def larger(small: Tensor, _: list[str]) -> Tensor:
        frames = small.movedim(2, 1).flatten(0, 1)
        grown = nnf.interpolate(frames, scale_factor=FACTOR, mode=mode).clamp(-1, 1)
        return grown.unflatten(0, (len(small), -1)).movedim(1, 2)

    return larger


def drawn(model: DiffusionModel, config: sampling.Config, weight: float | None = None) -> Way:
    """By a model; with a weight by the gradient, of one that was never trained for it."""
    how = Conditional() if weight is None else Conditional(weight=weight)

    def larger(small: Tensor, captions: list[str]) -> Tensor:
        given = {"caption": captions} if "words" in model.conditioners else {}
        return upscale(model, small, how=how, config=config, seed=SEED, given=given).cpu()

    return larger


def half_width(values: np.ndarray) -> float:
    return 1.96 * values.std(ddof=1) / len(values) ** 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--weights", type=float, nargs="*", default=[1.0, 3.0, 10.0])
    parser.add_argument("--out", type=Path, default=Path("enlarged.png"))
    given = parser.parse_args()
    stage, model = (filmgrain.load(run, precision="auto") for run in (given.stage, given.model))
    by_stage = drawn(stage, filmgrain.recipe_of(given.stage).sample)
    config = replace(filmgrain.recipe_of(given.model).sample, scale=1.0)
    ways: dict[str, Way] = {"bilinear": interpolated("bilinear"), "bicubic": interpolated("bicubic")}
    ways["trained stage"] = lambda small, said: torch.cat(
        [by_stage(part, said) for part in small.split(stage.shape[1], 2)], 2
    )
    ways |= {f"guidance, w_r = {w:g}": drawn(model, config, w) for w in given.weights}

    world = moving_shapes.Config(frames=model.shape[1], height=32, width=32, radius=(0.18, 0.24))  # that both know
    items = [moving_shapes.Dataset(world, "held_out").item(i) for i in range(given.clips)]
    x, said = as_data(torch.from_numpy(np.stack([item["x"] for item in items]))), [item["caption"] for item in items]
    small, shown = Downsample(FACTOR)(x), [to_uint8(x)[0].numpy()]
    print("| | PSNR, dB | small copy | kind | colour | s |\n|---|---|---|---|---|---|")
    for name, way in ways.items():
        start = time.process_time()
        try:
            made = way(small, said)
        except Diverged:
            print(f"| {name} | diverged | | | | |")
            continue
        seconds = time.process_time() - start
        error = (made - x).square().mean((1, 2, 3, 4)).numpy()
        psnr, clips = 10 * np.log10(4 / error), to_uint8(made).numpy()
        copy = (Downsample(FACTOR)(made) - small).square().mean().sqrt()
        read = [(truth.shown(clip), truth.said(caption)) for clip, caption in zip(clips, said, strict=True)]
        right = [np.mean([getattr(seen, what) == told[what] for seen, told in read]) for what in ("kind", "colour")]
        figures = f"{psnr.mean():.1f} ± {half_width(psnr):.1f} | {copy:.3f} | {right[0]:.0%} | {right[1]:.0%}"
        print(f"| {name} | {figures} | {seconds:.0f} |", flush=True)
        shown.append(clips[0])
    write_png(given.out, film_strip([to_uint8(interpolated("nearest-exact")(small[:1], said))[0].numpy(), *shown]))


if __name__ == "__main__":
    main()
