"""Pictures a second from disk to batches of tensors: a folder, against the peer's Dataset, and files of MNIST's kind.

Ours keeps freed memory, as a training run does.

python benchmarks/pictures.py REPEATS THREADS        {"peer, a folder, 64x64": [...], ...} as JSON
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from apart import measured, serve
from PIL import Image

COUNT, SIDE, BATCH = 1024, 64, 64
PASSES = 5  # by the cached sides at a time


def write(root: Path) -> None:
    """PNGs of coloured waves; and as many grey pictures of 28x28, with labels."""
    rng = np.random.default_rng(0)
    (root / "pictures").mkdir()
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    for number in range(COUNT):
        fx, fy, *colour = rng.uniform(1, 5, 5)
        pixels = 128 + 20 * np.multiply.outer(np.sin(2 * np.pi * (fx * x + fy * y)), colour)
        pixels += rng.normal(0, 4, pixels.shape)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / "pictures" / f"{number:04d}.png")
    (root / "idx").mkdir()
    for split in ("train", "t10k"):
        for name, shape in (("images-idx3", (COUNT, 28, 28)), ("labels-idx1", (COUNT,))):
            head = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
            values = rng.integers(0, 10, shape, dtype=np.uint8)
            (root / "idx" / f"{split}-{name}-ubyte").write_bytes(head + values.tobytes())


def peer(root: Path) -> Callable[[], float]:
    """As its Trainer reads them, but in this process and without the copy to a GPU."""
    import torch
    from denoising_diffusion_pytorch.denoising_diffusion_pytorch import Dataset

    pictures = Dataset(root / "pictures", SIDE)

    def run() -> float:
        start = perf_counter()
        assert sum(map(len, torch.utils.data.DataLoader(pictures, batch_size=BATCH, shuffle=True))) == COUNT
        return perf_counter() - start

    return run


def drawing(dataset: Any) -> Callable[[], float]:
    from filmgrain.data.loader import Loader

    batches = Loader(dataset, batch=BATCH, seed=0).batches()

    def run() -> float:
        start = perf_counter()
        for _ in range(PASSES * COUNT // BATCH):
            next(batches)
        return (perf_counter() - start) / PASSES

    return run


def folder(root: Path) -> Callable[[], float]:
    from filmgrain.data.image_folder import Config, Dataset

    make = {"cache": str(root / "cache"), "height": SIDE, "width": SIDE, "held_out": 0.0}
    return drawing(Dataset(Config(folder=str(root / "pictures"), **make)))


def mnist(root: Path) -> Callable[[], float]:
    from filmgrain.data.idx import Config, Dataset

    return drawing(Dataset(Config(folder=str(root / "idx"))))


SIDES = {
    "peer, a folder, 64x64": peer,
    "image_folder, 64x64, cached": folder,
    "idx, 28x28 as 32x32, grey": mnist,
}


def main() -> None:
    if sys.argv[1] == "--side":
        name, root = sys.argv[2], Path(sys.argv[3])
        if SIDES[name] is not peer:
            from filmgrain import keep_freed_memory

            keep_freed_memory()
        return serve(SIDES[name](root))
    repeats, threads = map(int, sys.argv[1:])
    with tempfile.TemporaryDirectory() as root:
        write(Path(root))
        rounds = measured(__file__, SIDES, Path(root), repeats, threads)
    print(json.dumps({"pictures": COUNT, "seconds": rounds}))


if __name__ == "__main__":
    main()
