"""Frames a second from a folder of GIFs to batches of tensors: the peer's Dataset; ours at first, and from its cache.

Ours keeps freed memory, as a training run does.

python benchmarks/clips.py REPEATS THREADS        {"peer": [...], "first pass": [...], "cached": [...]} as JSON
"""

import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from apart import measured, serve
from PIL import Image

COUNT, FRAMES, SIDE, BATCH = 384, 16, 64, 8
DRAWN = 96  # different ones; the others are these with a comment
PASSES = 5  # by the cached side at a time


def write(folder: Path) -> None:
    """GIFs of coloured waves that move, as smooth and as noisy as small video is."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    for number in range(DRAWN):
        fx, fy, speed, *colour = rng.uniform(1, 5, 6)
        waves = [np.sin(2 * np.pi * (fx * x + fy * y) + speed * t) for t in np.linspace(0, 2, FRAMES)]
        pixels = 128 + 20 * np.multiply.outer(np.stack(waves), colour) + rng.normal(0, 4, (FRAMES, SIDE, SIDE, 3))
        first, *rest = (Image.fromarray(frame) for frame in pixels.clip(0, 255).astype(np.uint8))
        path = folder / f"{number:04d}.gif"
        first.save(path, save_all=True, append_images=rest, duration=100, loop=0)
        for copy in range(number + DRAWN, COUNT, DRAWN):
            comment = b"\x21\xfe\x01" + bytes([copy // DRAWN]) + b"\0"
            (folder / f"{copy:04d}.gif").write_bytes(path.read_bytes()[:-1] + comment + b";")


def peer(root: Path) -> Callable[[], float]:
    """As its Trainer reads them, but for the copy to a GPU."""
    import torch
    from video_diffusion_pytorch.video_diffusion_pytorch import Dataset

    def run() -> float:
        start = perf_counter()
        gifs = Dataset(root / "gifs", SIDE, num_frames=FRAMES)
        frames = sum(len(x) * FRAMES for x in torch.utils.data.DataLoader(gifs, batch_size=BATCH, shuffle=True))
        assert frames == COUNT * FRAMES
        return perf_counter() - start

    return run


def ours(root: Path, cache: Path, processes: int = 0) -> Any:
    """Our batches, without end."""
    from filmgrain.data.loader import Loader
    from filmgrain.data.video_folder import Config, Dataset

    make = {"frames": FRAMES, "height": SIDE, "width": SIDE, "held_out": 0.0, "processes": processes}
    return Loader(Dataset(Config(folder=str(root / "gifs"), cache=str(cache), **make)), batch=BATCH, seed=0).batches()


def pass_over(batches: Any) -> None:
    for _ in range(COUNT // BATCH):
        next(batches)


def first(processes: int, root: Path) -> Callable[[], float]:
    new = (root / f"cache-{processes}-{number}" for number in count())

    def run() -> float:
        start = perf_counter()
        pass_over(ours(root, next(new), processes))
        return perf_counter() - start

    return run


def cached(root: Path) -> Callable[[], float]:
    batches = ours(root, root / "cache")

    def run() -> float:
        start = perf_counter()
        for _ in range(PASSES):
            pass_over(batches)
        return (perf_counter() - start) / PASSES

    return run


SIDES = {"peer": peer, "first pass": partial(first, 0), "first pass, one process": partial(first, 1), "cached": cached}


def main() -> None:
    if sys.argv[1] == "--side":
        name, root = sys.argv[2], Path(sys.argv[3])
        if name != "peer":
            from filmgrain import keep_freed_memory

            keep_freed_memory()
        return serve(SIDES[name](root))
    repeats, threads = map(int, sys.argv[1:])
    with tempfile.TemporaryDirectory() as root:
        (Path(root) / "gifs").mkdir()
        write(Path(root) / "gifs")
        rounds = measured(__file__, SIDES, Path(root), repeats, threads)
    print(json.dumps({"frames": COUNT * FRAMES, "seconds": rounds}))


if __name__ == "__main__":
    main()
