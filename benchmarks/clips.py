"""Frames a second from a folder of GIFs to batches of tensors: the peer's Dataset; ours at first, and from its cache.

python benchmarks/clips.py REPEATS THREADS        {"peer": [...], "first pass": [...], "cached": [...]} as JSON
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from paired import in_turn
from PIL import Image

from filmgrain.data.loader import Loader
from filmgrain.data.video_folder import Config, Dataset

COUNT, FRAMES, SIDE, BATCH = 96, 16, 64, 8


def write(folder: Path) -> None:
    """GIFs of coloured waves that move, as smooth and as noisy as small video is."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    for number in range(COUNT):
        fx, fy, speed, *colour = rng.uniform(1, 5, 6)
        waves = [np.sin(2 * np.pi * (fx * x + fy * y) + speed * t) for t in np.linspace(0, 2, FRAMES)]
        pixels = 128 + 20 * np.multiply.outer(np.stack(waves), colour) + rng.normal(0, 4, (FRAMES, SIDE, SIDE, 3))
        first, *rest = (Image.fromarray(frame) for frame in pixels.clip(0, 255).astype(np.uint8))
        first.save(folder / f"{number:04d}.gif", save_all=True, append_images=rest, duration=100, loop=0)


def peer(folder: Path) -> Iterator[Any]:
    """As its Trainer reads them, but for the copy to a GPU."""
    from video_diffusion_pytorch.video_diffusion_pytorch import Dataset as Gifs

    gifs = Gifs(folder, SIDE, num_frames=FRAMES)
    return iter(torch.utils.data.DataLoader(gifs, batch_size=BATCH, shuffle=True))


def ours(folder: Path, cache: str, processes: int) -> Iterator[Any]:
    make = {"frames": FRAMES, "height": SIDE, "width": SIDE, "held_out": 0.0, "processes": processes}
    batches = Loader(Dataset(Config(folder=str(folder), cache=cache, **make)), batch=BATCH, seed=0).batches()
    return (next(batches)["x"] for _ in range(COUNT // BATCH))


def passing(batches: Callable[[], Iterator[Any]]) -> float:
    """Seconds of a pass over all clips."""
    start = perf_counter()
    frames = sum(len(x) * FRAMES for x in batches())
    assert frames == COUNT * FRAMES
    return perf_counter() - start


def drawing(batches: Iterator[Any]) -> float:
    """Seconds of a pass by a loader that is there already."""
    start = perf_counter()
    for _ in range(COUNT // BATCH):
        next(batches)
    return perf_counter() - start


def main() -> None:
    repeats, threads = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    os.environ["TQDM_DISABLE"] = "1"
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "gifs"
        folder.mkdir()
        write(folder)
        new = (str(Path(root) / f"cache-{number}") for number in range(10**6))
        make = {"frames": FRAMES, "height": SIDE, "width": SIDE, "held_out": 0.0, "cache": f"{root}/cache"}
        cached = Loader(Dataset(Config(folder=str(folder), **make)), batch=BATCH, seed=0).batches()
        sides = {
            "peer": lambda: passing(lambda: peer(folder)),
            "first pass": lambda: passing(lambda: ours(folder, next(new), 0)),
            "first pass, one process": lambda: passing(lambda: ours(folder, next(new), 1)),
            "cached": lambda: drawing(cached),
        }
        rounds = in_turn(sides, repeats)
    print(json.dumps({"frames": COUNT * FRAMES, "seconds": rounds}))


if __name__ == "__main__":
    main()
