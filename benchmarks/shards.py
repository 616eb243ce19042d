"""Reading from shards against reading from a folder: items a second, and memory after 100, 1,000 and 10,000 reads.

    python benchmarks/shards.py FOLDER [--kind clips] [--reads 10000] [--workers 0]

Makes pictures or clips in FOLDER once, and shards of them. Each way is a process of its own, which takes batches of 8
from the loader and does nothing with them; over HTTP from Python's own server on this machine, which gives no ranges.
"""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

COUNTS = {"pictures": 2_000, "clips": 40}
BATCH = 8
MARKS = (100, 1_000, 10_000)  # reads after which memory is looked at
WAYS = ("stream", "stream http", "shards", "folder")


def made(root: Path, kind: str) -> None:
    """JPEGs of 256x256 or MP4s of 48 frames of 128x128, of waves and noise, and shards of them."""
    from filmgrain.data.shard_writer import write
    from filmgrain.files.encode import write_mp4

    draw = np.random.default_rng(0)

    def waves(count: int, side: int) -> np.ndarray:
        y, x, t = np.mgrid[:side, :side, :count] / side
        phase = draw.uniform(0, 6, (3, 3))
        frames = [np.sin(a * 9 * x + b * 9 * y + 3 * t + c) for a, b, c in phase]
        pixels = 128 + 90 * np.stack(frames, -1) + draw.normal(0, 6, (side, side, count, 3))
        return pixels.clip(0, 255).astype(np.uint8).transpose(2, 0, 1, 3)

    folder = root / kind
    if (root / f"{kind}-shards" / "shards.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(COUNTS[kind]):
        if kind == "pictures":
            Image.fromarray(waves(1, 256)[0]).save(folder / f"{n:05}.jpg", quality=90)
        else:
            write_mp4(folder / f"{n:05}.mp4", waves(48, 128), 24)
    size = sum(path.stat().st_size for path in folder.iterdir())
    began = time.monotonic()
    write(str(folder), root / f"{kind}-shards", size=max(10**6, size // 20))
    print(f"{kind}: {COUNTS[kind]:,} files of {size / 1e6:.0f} MB, sharded in {time.monotonic() - began:.1f} s")


def read(way: str, kind: str, place: str, cache: str, reads: int, workers: int) -> dict[str, float]:
    """What one way does, in this process."""
    from filmgrain.data import image_folder, shards, stream, video_folder
    from filmgrain.data.loader import Loader

    module = {"folder": image_folder if kind == "pictures" else video_folder, "shards": shards}.get(way, stream)
    frames = {} if way == "folder" and kind == "pictures" else {"frames": 16 if kind == "clips" else 0}
    began = time.monotonic()
    data = module.Dataset(module.Config(folder=place, cache=cache, held_out=0.0, **frames))
    found = {"ready": time.monotonic() - began}
    began, done = time.monotonic(), 0
    for batch in islice(Loader(data, batch=BATCH, seed=0, workers=workers).batches(), -(-reads // BATCH)):
        done += len(batch["n"])
        for mark in MARKS:
            if done >= mark and f"MB after {mark}" not in found:
                found[f"MB after {mark}"] = resident()
    return found | {"items/s": done / (time.monotonic() - began)}


def resident() -> float:
    """MB of this process that are in memory and are its own: pages of mapped files go when others want the room."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["RssAnon"].split()[0]) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--reads", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--kind", default="pictures", choices=("pictures", "clips"))
    parser.add_argument("--one", help="used by itself: way and place")
    options = parser.parse_args()
    root = options.folder.absolute()
    if options.one:
        way, place, cache = json.loads(options.one)
        print(json.dumps(read(way, options.kind, place, cache, options.reads, options.workers)))
        return
    made(root, options.kind)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(root), str(port)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        for way in WAYS:
            place = {"folder": str(root / options.kind)}.get(way, str(root / f"{options.kind}-shards"))
            if way == "stream http":
                place = f"http://127.0.0.1:{port}/{options.kind}-shards"
            cache = str(root / f"cache-{way.replace(' ', '-')}-{random.randrange(10**9)}")
            command = [sys.executable, *sys.argv, "--one", json.dumps([way, place, cache])]
            told = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ).stdout
            row = {name: round(value, 1) for name, value in json.loads(told.splitlines()[-1]).items()}
            print(f"{options.kind} {way}: {row}", flush=True)
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
